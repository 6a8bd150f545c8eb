"""Builds the objects of a run from its configuration."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch

from rlcont.actors.cluster import prepare_ray
from rlcont.algos.find import agent_class, is_foreign
from rlcont.config.actors import RayActors
from rlcont.config.run import RunConfig
from rlcont.core.agent import Agent, Learner
from rlcont.core.errors import UserError
from rlcont.core.hidden_state import check_parts
from rlcont.core.protocols import Accelerate, Collector, Policy, eager
from rlcont.core.resources import available_memory, check_memory
from rlcont.core.seeding import integers
from rlcont.core.types import EnvSpec
from rlcont.envs.adaptive import FEWEST_ENVS, AdaptiveEnvironments, can_move
from rlcont.envs.box import BoxEnv
from rlcont.envs.vector import Environments
from rlcont.envs.workers import WorkerEnvironments, useful_workers
from rlcont.training.accelerate import Acceleration, choose
from rlcont.training.collector import AnyEnvironments, InlineCollector
from rlcont.training.evaluate import Evaluator
from rlcont.training.loop import Training, undo_foreign_settings
from rlcont.training.threads import MOST_THREADS, AdaptiveThreads


class RunParts(NamedTuple):
    """The objects of a run."""

    training: Training
    evaluate: Evaluator | None
    acceleration: Acceleration
    workers: int
    """Processes that step the environments of the run's own loop."""
    env: BoxEnv
    """One of the environments, between episodes."""


def build(config: RunConfig, stack: ExitStack, threads: int | None = None, workers: int | None = None) -> RunParts:
    """Makes the objects of a run; `stack` closes them.

    Args:
        threads, workers: those that a resumed run began with, where they are automatic; None for a new run.
    """
    evaluate = None
    if config.eval.every is not None:
        evaluate = Evaluator(config.env, config.eval.episodes, config.seed)
        stack.callback(evaluate.close)
    stack.callback(torch.set_num_threads, torch.get_num_threads())
    envs, workers = (None, 1) if isinstance(config.actors, RayActors) else make_environments(config, workers)
    if envs is not None:
        stack.callback(envs.close)
    if evaluate is not None:
        env = evaluate.envs[0]
        if envs is not None:
            evaluate.statistics = envs.first.snapshots.statistics
    elif envs is not None:
        env = envs.first
    else:
        env = BoxEnv(config.env)
        stack.callback(env.close)
    # A module of the user's may have changed them, and with them what is computed.
    undo_foreign_settings()
    torch.set_num_threads(useful_threads(config, threads))
    key, needed = config.algo.memory_demand(env.spec, config.total_steps, config.num_envs)
    on_gpu = resolve_device(config.device) == "cuda"
    check_memory(key, needed, torch.cuda.mem_get_info()[0] if on_gpu else available_memory())
    acceleration = choose_acceleration(config)
    accelerate: Accelerate = acceleration
    if config.threads == "auto" and acceleration.device == "cpu" and torch.get_num_threads() == MOST_THREADS:
        accelerate = AdaptiveThreads(acceleration)
    agent = make_agent(config, env.spec, accelerate)
    collector = _ray_collector(config, agent, stack) if envs is None else InlineCollector(agent, envs)
    return RunParts(Training(agent, collector), evaluate, acceleration, workers, env)


def useful_threads(config: RunConfig, before: int | None) -> int:
    """Torch's number of threads at first; `before` is that of a run that is resumed.

    Where the number changes on the way, updates must not depend on it. That is known of rlcont's own algorithms alone:
    torch.nn.LayerNorm, say, sums by the number of threads.
    """
    if config.threads != "auto":
        return config.threads
    if is_foreign(config.algorithm):
        return 1
    return before or min(MOST_THREADS, torch.get_num_threads())


def resolve_device(device: str) -> str:
    """Resolves auto to cuda or cpu."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: torch sees no CUDA device here; allowed: auto, cpu")
    return device


def make_environments(config: RunConfig, first: int | None = None) -> tuple[AnyEnvironments, int]:
    """The environments that a run trains in, and the number of processes that step them at first.

    `first` is that number where it is automatic and known already. Torch leaves workers that stay their share of the
    cores: its threads would spin on them between two updates.
    """
    seeds = integers(config.seed, "environments", config.num_envs)
    cores = torch.get_num_threads()
    workers = config.workers
    if workers == "auto":
        workers = first or useful_workers(config.env, config.num_envs, cores)
    if config.workers == "auto" and min(cores, config.num_envs) > 1 and can_move(config.env):
        most = workers if workers > 1 else min(cores, max(2, config.num_envs // FEWEST_ENVS))
        return AdaptiveEnvironments(config.env, seeds, most, workers), workers
    if workers == 1:
        return Environments(config.env, seeds), 1
    torch.set_num_threads(max(1, cores // workers))
    return WorkerEnvironments(config.env, seeds, workers), workers


def choose_acceleration(config: RunConfig) -> Acceleration:
    """Resolves device, compile and precision of a run on this machine."""
    num_updates = config.algo.num_updates(config.total_steps, config.num_envs)
    return choose(config.compile, config.precision, resolve_device(config.device), num_updates)


def make_agent(config: RunConfig, spec: EnvSpec, accelerate: Accelerate = eager) -> Agent:
    with one_thread():
        agent = agent_class(config.algorithm)(
            config.algo,
            config.noise,
            spec,
            num_envs=config.num_envs,
            total_steps=config.total_steps,
            seed=config.seed,
            device=resolve_device(config.device),
            accelerate=accelerate,
        )
    try:
        check_parts(agent)
    except TypeError as error:
        raise UserError(f"algo={config.algo_name}: {error}") from error
    return agent


@contextmanager
def one_thread() -> Iterator[None]:
    """A context in which torch computes with one thread: the last bits of orthogonal weights depend on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def make_policy(config: RunConfig, spec: EnvSpec) -> Policy:
    """What acting with the policy of a run takes, on whatever device there is, without the memory of training."""
    device = resolve_device("auto")
    return agent_class(config.algorithm).make_policy(config.algo, config.noise, spec, seed=config.seed, device=device)


def _ray_collector(config: RunConfig, agent: Agent, stack: ExitStack) -> Collector:
    assert isinstance(config.actors, RayActors)
    if not isinstance(agent, Learner):
        raise UserError(
            f"actors=ray: {config.algo_name} cannot learn from what others collect, as it is no "
            "rlcont.core.agent.Learner; allowed: inline"
        )
    address = prepare_ray(config.actors.address)
    from rlcont.actors.pool import RayCollector

    collector = RayCollector(agent, config, address)
    stack.callback(collector.close)
    return collector
