"""From a configuration to the objects of a run, and the run itself."""

from __future__ import annotations

import contextlib
import datetime
from pathlib import Path
from typing import cast

import torch

from rlcont.actors.cluster import prepare
from rlcont.algos.find import agent_class
from rlcont.config.actors import RayActors
from rlcont.config.run import RunConfig
from rlcont.core.errors import UserError
from rlcont.core.protocols import Accelerate, Agent, Collector, Learner, VectorEnv, as_it_is
from rlcont.core.resources import available_memory, check_memory
from rlcont.core.seeding import integers
from rlcont.core.types import EnvSpec
from rlcont.envs.vector import Environments
from rlcont.envs.workers import WorkerEnvironments, useful_workers
from rlcont.runs.checkpoint import Checkpoints
from rlcont.runs.folder import add_to_description, create_run_folder, in_use
from rlcont.runs.log import evaluation_row
from rlcont.runs.resume import ResumePlan
from rlcont.runs.status import one_line
from rlcont.training.accelerate import Acceleration, choose
from rlcont.training.collector import InlineCollector
from rlcont.training.evaluate import Evaluator
from rlcont.training.loop import Schedule, Training, train
from rlcont.training.observer import RunObserver


def resolve_device(device: str) -> str:
    """cpu or cuda for auto, cpu and cuda.

    Raises:
        UserError: cuda was asked for and there is none.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: torch sees no CUDA device here; allowed: auto, cpu")
    return device


def make_environments(config: RunConfig) -> tuple[VectorEnv, int]:
    """The environments that a run trains in, and the processes that step them: as many as asked for, or fastest.

    The workers take their share of the cores from torch, whose threads would spin on them between two updates.
    """
    seeds = integers(config.seed, "environments", config.num_envs)
    cores = torch.get_num_threads()
    workers = useful_workers(config.env, config.num_envs, cores) if config.workers == "auto" else config.workers
    if workers == 1:
        return Environments(config.env, seeds), 1
    torch.set_num_threads(max(1, cores // workers))
    return WorkerEnvironments(config.env, seeds, workers), workers


def choose_acceleration(config: RunConfig) -> Acceleration:
    """How the updates of a run are made fast on this machine."""
    num_updates = config.algo.num_updates(config.total_steps, config.num_envs)
    return choose(config.compile, config.precision, resolve_device(config.device), num_updates)


def make_agent(config: RunConfig, spec: EnvSpec, accelerate: Accelerate = as_it_is) -> Agent:
    """The agent that `config` describes, for environments of `spec`."""
    return agent_class(config.algorithm)(
        config.algo,
        config.noise,
        spec,
        num_envs=config.num_envs,
        total_steps=config.total_steps,
        seed=config.seed,
        device=resolve_device(config.device),
        accelerate=accelerate,
    )


def _check_memory(config: RunConfig, spec: EnvSpec) -> None:
    """Refuses a memory of transitions that does not fit where it will live."""
    key, needed = config.algo.memory_demand(spec, config.num_envs)
    on_gpu = resolve_device(config.device) == "cuda"
    check_memory(key, needed, torch.cuda.mem_get_info()[0] if on_gpu else available_memory())


def run(config: RunConfig, choices: dict[str, str | None], folder: Path | None = None) -> Path:
    """Trains as `config` says, in `folder` or else in a new one, and returns it."""
    with contextlib.ExitStack() as stack:
        evaluate = _evaluator(config, stack)
        envs, workers = _environments(config, stack)
        _check_memory(config, evaluate.spec)
        acceleration = choose_acceleration(config)
        agent = make_agent(config, evaluate.spec, acceleration)
        collector = _collector(config, agent, envs, stack)
        folder = folder or create_run_folder(config, choices)
        stack.enter_context(in_use(folder))
        threads = torch.get_num_threads()
        add_to_description(folder, {"acceleration": acceleration.facts() | {"threads": threads, "workers": workers}})
        tuned = f"tuned/{choices['tuned']}" if choices["tuned"] else "no tuned file for this pair"
        print(f"{config.algo_name} on {config.env.id}, seed {config.seed}, {tuned}; {folder}", flush=True)
        _say_how(config, evaluate, acceleration, workers)
        observer = RunObserver(config, folder, agent, _checkpoints(config, folder))
        _train(config, Training(agent, collector), evaluate, observer)
    return folder


def resume(plan: ResumePlan) -> Path:
    """Goes on with a run from its newest whole checkpoint, in its folder, which is returned.

    Raises:
        UserError: no checkpoint is whole, the folder is in use, or this machine cannot do what the run did.
    """
    config, folder = plan.config, plan.folder
    with contextlib.ExitStack() as stack:
        stack.enter_context(in_use(folder))
        evaluate = _evaluator(config, stack)
        envs, workers = _environments(config, stack)
        torch.set_num_threads(plan.threads)
        _check_memory(config, evaluate.spec)
        acceleration = choose_acceleration(config)
        agent = make_agent(config, evaluate.spec, acceleration)
        training = Training(agent, _collector(config, agent, envs, stack))
        checkpoints = _checkpoints(config, folder)
        state = checkpoints.load(training.agent.rows)
        try:
            training.load_state_dict(state["training"])
            observer = RunObserver(config, folder, training.agent, checkpoints, state["observer"])
        except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
            raise UserError(f"{folder}: its checkpoint does not fit the run ({one_line(error)})") from error
        plan.record(training.step)
        print(
            f"{config.algo_name} on {config.env.id}, seed {config.seed}, from step {training.step}; {folder}",
            flush=True,
        )
        if plan.rescheduled:
            print(
                f"{', '.join(plan.rescheduled)}: scheduled over total_steps; the numbers differ from those of a run "
                f"that began with total_steps={config.total_steps}",
                flush=True,
            )
        _say_how(config, evaluate, acceleration, workers)
        _train(config, training, evaluate, observer)
    return folder


def _environments(config: RunConfig, stack: contextlib.ExitStack) -> tuple[VectorEnv | None, int]:
    """What the run's own loop acts in, nothing where actors elsewhere do, and the processes that step it."""
    stack.callback(torch.set_num_threads, torch.get_num_threads())
    if isinstance(config.actors, RayActors):
        return None, 1
    envs, workers = make_environments(config)
    stack.callback(envs.close)
    return envs, workers


def _collector(config: RunConfig, agent: Agent, envs: VectorEnv | None, stack: contextlib.ExitStack) -> Collector:
    if not isinstance(config.actors, RayActors):
        assert envs is not None
        return InlineCollector(agent, envs)
    address = prepare(config.actors.address)
    from rlcont.actors.pool import RayCollector

    # Such actors are refused for an agent that is no learner of this kind.
    collector = RayCollector(cast(Learner, agent), config, address)
    stack.callback(collector.close)
    return collector


def _evaluator(config: RunConfig, stack: contextlib.ExitStack) -> Evaluator:
    evaluate = Evaluator(config.env, config.eval.episodes, config.seed)
    stack.callback(evaluate.close)
    return evaluate


def _checkpoints(config: RunConfig, folder: Path) -> Checkpoints:
    return Checkpoints(folder, config.checkpoint.keep)


def _say_how(config: RunConfig, evaluate: Evaluator, acceleration: Acceleration, workers: int) -> None:
    """Tells what a run is made on, and what its environment lacks."""
    threads = torch.get_num_threads()
    stepped = f"; {config.num_envs} environments in {workers} processes" if workers > 1 else ""
    if isinstance(config.actors, RayActors):
        stepped = f"; {config.actors.num} actor{'s' if config.actors.num > 1 else ''} of Ray"
    print(f"{acceleration}, {threads} thread{'s' if threads > 1 else ''} on {acceleration.device}{stepped}", flush=True)
    env = evaluate.envs[0]
    if env.spec.max_episode_steps is None:
        print(f"{config.env.id} has no time limit; env.max_episode_steps=N sets one", flush=True)
    env.reset(0)
    obstacle = env.obstacle()
    if obstacle and config.checkpoint.every is not None:
        print(f"{config.env.id} cannot be saved within an episode ({obstacle}); a resumed run begins one", flush=True)


def _train(config: RunConfig, training: Training, evaluate: Evaluator, observer: RunObserver) -> None:
    """Trains to the end and says how it went."""
    due = Schedule(config.total_steps, config.eval.every, config.log.every, config.checkpoint.every)
    with observer:
        evaluation = train(training, evaluate, observer, due)
    row = evaluation_row(evaluation)
    elapsed = datetime.timedelta(seconds=round(observer.seconds))
    print(
        f"{config.algo_name} on {config.env.id}, seed {config.seed}: {training.step} steps in {elapsed}, "
        f"last evaluation {row['return_mean']:.1f} ± {row['return_std']:.1f} "
        f"({config.eval.episodes} episodes); {observer.folder}"
    )
