"""Where the time of one DDPG training step goes, and how near its update is to the machine's matrix-product limit.

The limit is the time that torch.mm takes for nothing but the products that one update needs (`products`), into
preallocated outputs, at the best number of threads. Limit divided by measured update is the share that is reached.

    python benchmarks/profile_step.py
    python benchmarks/profile_step.py algo.actor.hidden=[400,300] algo.critic.hidden=[400,300] --trace /tmp/trace.json
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

from rlcont.config.compose import make_plan
from rlcont.config.run import RunConfig
from rlcont.core.errors import UserError
from rlcont.core.seeding import integers
from rlcont.core.types import Array, Batch
from rlcont.envs.vector import Environments
from rlcont.training.build import choose_acceleration, make_agent

WARMUP = 1000
SETTLE = 50
"""Updates before anything is timed, so that compilation is over."""
PRODUCT_OPERATIONS = ("mm", "mv", "_linear", "_linear_pointwise")
"""How the names of the operators end that multiply matrices, those that compiled code calls included."""


class Product(NamedTuple):
    """One matrix product, [rows, inner] @ [inner, columns]."""

    purpose: str
    rows: int
    inner: int
    columns: int
    kind: str
    """forward: x Wᵀ; weights: gᵀ x; inputs: g W. Decides how the operands lie in memory."""

    @property
    def flops(self) -> int:
        return 2 * self.rows * self.inner * self.columns


def products(
    obs_dim: int, action_dim: int, actor_hidden: Sequence[int], critic_hidden: Sequence[int], batch_size: int
) -> list[Product]:
    """The matrix products that one DDPG update cannot do without, in order.

    Targets: both target networks forward. Critic: forward; gradients of all weights, and of the inputs of all layers
    but the first. Actor: forward, and the critic forward on its actions; gradients of the inputs of all critic layers,
    in the first layer only of the action's columns, and of no critic weight; gradients of all actor weights, and of
    the inputs of all layers but the first.
    """
    actor = _layers(obs_dim, actor_hidden, action_dim)
    critic = _layers(obs_dim + action_dim, critic_hidden, 1)
    batch = batch_size
    through_critic = [(action_dim, critic[0][1]), *critic[1:]]
    return [
        *_forward("target actor", actor, batch),
        *_forward("target critic", critic, batch),
        *_forward("critic", critic, batch),
        *_weight_gradients("critic", critic, batch),
        *_input_gradients("critic", critic[1:], batch),
        *_forward("actor", actor, batch),
        *_forward("critic of the actor's actions", critic, batch),
        *_input_gradients("critic of the actor's actions", through_critic, batch),
        *_weight_gradients("actor", actor, batch),
        *_input_gradients("actor", actor[1:], batch),
    ]


Layers = Sequence[tuple[int, int]]


def _layers(num_in: int, hidden: Sequence[int], num_out: int) -> Layers:
    return list(zip([num_in, *hidden], [*hidden, num_out], strict=True))


def _forward(net: str, layers: Layers, batch: int) -> list[Product]:
    return [Product(net, batch, num_in, num_out, "forward") for num_in, num_out in layers]


def _weight_gradients(net: str, layers: Layers, batch: int) -> list[Product]:
    return [Product(net, num_out, batch, num_in, "weights") for num_in, num_out in reversed(layers)]


def _input_gradients(net: str, layers: Layers, batch: int) -> list[Product]:
    return [Product(net, batch, num_out, num_in, "inputs") for num_in, num_out in reversed(layers)]


def runner(needed: Sequence[Product], dtype: torch.dtype) -> Callable[[], None]:
    """A function that does `needed` once, on operands of its own that lie as linear layers and autograd have them."""
    work = []
    for product in needed:
        left = torch.randn(product.rows, product.inner, dtype=dtype)
        right = torch.randn(product.inner, product.columns, dtype=dtype)
        if product.kind == "forward":
            right = right.t().contiguous().t()
        if product.kind == "weights":
            left = left.t().contiguous().t()
        work.append((left, right, torch.empty(product.rows, product.columns, dtype=dtype)))

    def run() -> None:
        for left, right, out in work:
            torch.mm(left, right, out=out)

    return run


def timed(function: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each of `repeats` calls."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return seconds


class Profile:
    """An agent made by rlcont's own builders, past its warm-up."""

    def __init__(self, overrides: Sequence[str]):
        fixed = ["tuned=none", "device=cpu", f"algo.warmup_steps={WARMUP}"]
        self.config: RunConfig = make_plan([*fixed, *overrides]).config
        if self.config.algo_name != "ddpg":
            raise UserError(f"algo={self.config.algo_name}: only the matrix products of ddpg are known here")
        self.envs = Environments(self.config.env, integers(self.config.seed, "environments", self.config.num_envs))
        self.acceleration = choose_acceleration(self.config)
        self.agent: Any = make_agent(self.config, self.envs.spec, self.acceleration)
        self.obs: Array = self.envs.reset()
        for _ in range(WARMUP + self.config.algo.batch_size + SETTLE):
            self.step({})

    def step(self, seconds: dict[str, list[float]]) -> None:
        """One step of the training loop; appends how long each part took."""
        times = [time.perf_counter()]
        action = self.agent.act(self.obs, explore=True)
        times.append(time.perf_counter())
        env_step = self.envs.step(action)
        times.append(time.perf_counter())
        self.agent.observe(env_step)
        times.append(time.perf_counter())
        self.agent.learn()
        times.append(time.perf_counter())
        self.obs = env_step.obs_to_act_on
        for part, start, end in zip(("act", "environment", "observe", "learn"), times, times[1:], strict=False):
            seconds.setdefault(part, []).append(end - start)

    def sample(self) -> Batch:
        return self.agent.replay.sample(self.config.algo.batch_size)

    def products(self) -> list[Product]:
        algo, spec = self.config.algo, self.envs.spec
        return products(spec.obs_dim, spec.action_dim, algo.actor.hidden, algo.critic.hidden, algo.batch_size)


def product_share(profile: Profile, updates: int, trace: str | None) -> float:
    """Share of the operator time of sampling and updating that torch.profiler sees in matrix products."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        for _ in range(updates):
            profile.agent.accelerated_update(profile.sample())
    if trace is not None:
        profiler.export_chrome_trace(trace)
    events = profiler.key_averages()
    in_products = sum(event.self_cpu_time_total for event in events if event.key.endswith(PRODUCT_OPERATIONS))
    return in_products / sum(event.self_cpu_time_total for event in events)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="key=value for rlcont, as on its command line")
    parser.add_argument("--rounds", type=int, default=10, help="times that everything is measured in turn (10)")
    parser.add_argument("--steps", type=int, default=100, help="training steps and updates of a round (100)")
    parser.add_argument("--trace", help="where torch.profiler's trace goes, for chrome://tracing or Perfetto")
    arguments = parser.parse_args()

    try:
        profile = Profile(arguments.overrides)
    except UserError as error:
        parser.error(str(error))
    needed = profile.products()
    threads = torch.get_num_threads()
    counts = range(1, (os.cpu_count() or 1) + 1)
    limits = {name: runner(needed, dtype) for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))}

    seconds: dict[str, list[float]] = {}
    limit_seconds: dict[tuple[str, int], list[float]] = {}
    for _ in range(arguments.rounds):
        for _ in range(arguments.steps):
            profile.step(seconds)
        seconds.setdefault("sample", []).extend(timed(profile.sample, arguments.steps))
        seconds.setdefault("update", []).extend(
            timed(partial(profile.agent.accelerated_update, profile.sample()), arguments.steps)
        )
        for name, run in limits.items():
            for count in counts:
                torch.set_num_threads(count)
                run()
                limit_seconds.setdefault((name, count), []).extend(timed(run, arguments.steps))
        torch.set_num_threads(threads)
    share = product_share(profile, arguments.steps, arguments.trace)
    print(f"{profile.acceleration}\n")
    print(table(seconds, limit_seconds, needed, share, threads, profile.acceleration.precision))


def table(
    seconds: dict[str, list[float]],
    limit_seconds: dict[tuple[str, int], list[float]],
    needed: Sequence[Product],
    share: float,
    threads: int,
    precision: str,
) -> str:
    """Medians as Markdown: the parts of a step, the parts of learn, the limits of both precisions.

    The limit to compare with is that of the update's `precision`, at the best number of threads.
    """
    median = {part: 1000 * statistics.median(values) for part, values in seconds.items()}
    step = sum(median[part] for part in ("act", "environment", "observe", "learn"))
    lines = [f"| part of a step, {threads} threads | ms | share |", "|---|---:|---:|"]
    for part in ("environment", "act", "observe", "learn"):
        lines.append(f"| {part} | {median[part]:.3f} | {median[part] / step:.0%} |")
    lines += [f"| **step** | **{step:.3f}** | {1000 / step:.0f} steps/s |", ""]

    learn = median["sample"] + median["update"]
    lines += ["| part of learn, timed alone | ms | share |", "|---|---:|---:|"]
    lines.append(f"| sample | {median['sample']:.3f} | {median['sample'] / learn:.0%} |")
    lines.append(f"| update | {median['update']:.3f} | {median['update'] / learn:.0%} |")
    in_products = share * median["update"]
    lines.append(f"| … its matrix products, by torch.profiler | {in_products:.3f} | {share:.0%} of update |")
    lines.append(f"| … the rest | {median['update'] - in_products:.3f} | {1 - share:.0%} of update |")

    flops = sum(product.flops for product in needed)
    lines += [
        "",
        f"| limit: {len(needed)} products, {flops / 1e6:.1f} MFLOP | threads | ms | GFLOP/s | limit ÷ update |",
        "|---|---:|---:|---:|---:|",
    ]
    limits = {key: 1000 * statistics.median(values) for key, values in limit_seconds.items()}
    best = min(limit for (name, _), limit in limits.items() if name == precision)
    for (name, count), limit in limits.items():
        reached = f"{limit / median['update']:.0%}" if (name, limit) == (precision, best) else "–"
        lines.append(f"| {name} | {count} | {limit:.3f} | {flops / limit / 1e6:.0f} | {reached} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
