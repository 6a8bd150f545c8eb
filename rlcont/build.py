"""From a configuration to the objects of a run, and the run itself."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import time
from pathlib import Path

import torch

from rlcont import runs
from rlcont.accelerate import Acceleration, choose
from rlcont.algos import load_algorithm
from rlcont.config import RunConfig, to_container
from rlcont.console import make_reporter
from rlcont.core import Accelerate, Agent, EnvSpec, UserError, VectorEnv, as_it_is
from rlcont.envs import BoxEnv, Environments
from rlcont.evaluate import Evaluation, Evaluator
from rlcont.interrupt import Interrupt
from rlcont.log import RunLog, evaluation_row
from rlcont.names import flat_keys
from rlcont.resources import available_memory, check_memory
from rlcont.seeding import integers
from rlcont.status import StatusFile
from rlcont.train import train
from rlcont.workers import WorkerEnvironments, useful_workers


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
    on_policy = load_algorithm(config.algo_name).on_policy
    # An update that was rounded otherwise than acting would learn from another policy than the one that acted.
    precision = "fp32" if on_policy and config.precision == "auto" else config.precision
    return choose(config.compile, precision, resolve_device(config.device), num_updates)


def make_agent(config: RunConfig, spec: EnvSpec, accelerate: Accelerate = as_it_is) -> Agent:
    """The agent that `config` describes, for environments of `spec`."""
    return load_algorithm(config.algo_name)(
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
    key, needed = load_algorithm(config.algo_name).memory_demand(config.algo, spec, config.num_envs)
    on_gpu = resolve_device(config.device) == "cuda"
    check_memory(key, needed, torch.cuda.mem_get_info()[0] if on_gpu else available_memory())


class _RunObserver:
    """Passes what training reports to TensorBoard, the policies' folder, status.json and the terminal."""

    def __init__(self, config: RunConfig, folder: Path, agent: Agent):
        container = to_container(config)
        container.pop("output")
        self.log = RunLog(folder, flat_keys(container), runs.config_text(config))
        self.status = StatusFile(folder, "running", config.total_steps)
        self.reporter = make_reporter(config.total_steps)
        self.config = config
        self.folder = folder
        self.agent = agent
        self.best = float("-inf")
        self.interrupt = Interrupt()
        self.start = time.perf_counter()

    def __enter__(self) -> None:
        self.interrupt.__enter__()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.interrupt.__exit__()
        self.reporter.close()
        self.log.close()
        self.status.end(error)

    def trained(self, values: dict[str, float], step: int) -> None:
        self.interrupt.check()
        self.log.scalars(values, step)
        train_return, speed = values.get("train/return"), values["train/steps_per_second"]
        self.reporter.progress(step, train_return, speed)
        returned = {} if train_return is None else {"train_return": train_return}
        self.status.update(step=step, steps_per_second=speed, **returned)

    def evaluated(self, evaluation: Evaluation, step: int) -> None:
        self.log.evaluation(evaluation, step, time.perf_counter() - self.start)
        row = evaluation_row(evaluation)
        self.reporter.evaluated(step, row["return_mean"], row["return_std"])
        names = ["last"]
        if row["return_mean"] > self.best:
            self.best = row["return_mean"]
            names.append("best")
        if self.config.eval.save_policies:
            names.append(f"step-{step}")
        state = self.agent.policy_state()
        for name in names:
            runs.save_policy(self.folder, name, state, {"step": step, **row})
        figures = {key: row[key] for key in ("return_mean", "return_std")}
        self.status.update(step=step, evaluation_step=step, **figures)


def run(config: RunConfig, choices: dict[str, str | None], folder: Path | None = None) -> Path:
    """Trains as `config` says, in `folder` or else in a new one, and returns it."""
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        return _run(config, choices, folder, stack)


def _run(config: RunConfig, choices: dict[str, str | None], folder: Path | None, stack: contextlib.ExitStack) -> Path:
    """`run`, with a stack for what is to be put back or closed however it ends."""
    envs, workers = make_environments(config)
    stack.callback(envs.close)
    evaluate = Evaluator(config.env, config.eval.episodes, config.seed)
    stack.callback(evaluate.close)
    _check_memory(config, envs.spec)
    acceleration = choose_acceleration(config)
    agent = make_agent(config, envs.spec, acceleration)
    threads = torch.get_num_threads()
    folder = folder or runs.create_run_folder(config, choices)
    runs.add_to_description(folder, {"acceleration": acceleration.facts() | {"threads": threads, "workers": workers}})
    tuned = f"tuned/{choices['tuned']}" if choices["tuned"] else "no tuned file for this pair"
    print(f"{config.algo_name} on {config.env.id}, seed {config.seed}, {tuned}; {folder}", flush=True)
    stepped = f"; {len(envs)} environments in {workers} processes" if workers > 1 else ""
    print(f"{acceleration}, {threads} thread{'s' if threads > 1 else ''} on {acceleration.device}{stepped}", flush=True)
    if envs.spec.max_episode_steps is None:
        print(f"{config.env.id} has no time limit; env.max_episode_steps=N sets one", flush=True)
    observer = _RunObserver(config, folder, agent)
    with observer:
        evaluation = train(
            agent,
            envs,
            evaluate,
            observer,
            total_steps=config.total_steps,
            eval_every=config.eval.every,
            log_every=config.log.every,
        )
    row = evaluation_row(evaluation)
    elapsed = datetime.timedelta(seconds=round(time.perf_counter() - observer.start))
    print(
        f"{config.algo_name} on {config.env.id}, seed {config.seed}: {config.total_steps} steps in {elapsed}, "
        f"last evaluation {row['return_mean']:.1f} ± {row['return_std']:.1f} "
        f"({config.eval.episodes} episodes); {folder}"
    )
    return folder


def evaluate_run(folder: Path, policy: str, episodes: int, seed: int | None) -> str:
    """Plays `episodes` deterministic episodes with a policy that the run in `folder` kept, and says how it went.

    Without `seed` they are the episodes that the run's own evaluations played.
    """
    config = runs.load_config(folder)
    state, facts = runs.load_policy(folder, policy)
    # Where it was trained does not matter for playing it.
    config = dataclasses.replace(config, num_envs=1, device="auto")
    agent = make_agent(config, BoxEnv(config.env).spec)
    agent.load_policy_state(state)
    evaluate = Evaluator(config.env, episodes, config.seed if seed is None else seed)
    evaluation = evaluate(agent)
    evaluate.close()
    row = evaluation_row(evaluation)
    return (
        f"{config.algo_name} on {config.env.id}, policy {policy} of step {facts['step']}: return "
        f"{row['return_mean']:.1f} ± {row['return_std']:.1f} over {episodes} episodes "
        f"(lowest {row['return_min']:.1f}, highest {row['return_max']:.1f})"
    )
