"""What of an environment cannot be reproduced or saved, and what suits no network: found by trying, as a run begins."""

import time
from typing import Any

import numpy as np

from rlcont.core.packing import from_message, to_message
from rlcont.core.seeding import global_state, globals_seeded, seed_globals, set_global_state
from rlcont.core.types import Array
from rlcont.envs.box import BoxEnv

STEPS = 30
SECONDS = 0.15
"""How long all may take; a slow environment is tried for fewer steps, or not at all."""
COARSE = 2.0**24
"""Numbers from here on lie two and more apart in float32."""


def findings(env: BoxEnv, saves: bool, *, is_remote: bool = False) -> list[str]:
    """Lines to print of an environment. Reset with a seed afterwards, it behaves as if it had not been tried.

    Args:
        saves: whether the run keeps checkpoints.
        is_remote: whether remote actors step the environments that the run trains in.
    """
    trial = _Trial(env, is_remote)
    with globals_seeded(0):
        found = trial.findings(saves)
    trial.reset_wrappers()
    return [f"{env.spec.env_id} {text}" for text in found]


class _Trial:
    """Episodes of one seed in one environment."""

    def __init__(self, env: BoxEnv, is_remote: bool):
        self.env = env
        self.is_remote = is_remote
        self.reset_wrappers = env.snapshots.keep_wrappers()
        self.start = time.perf_counter()

    def findings(self, saves: bool) -> list[str]:
        names = [name for part in self.env.snapshots.statistics() for name in part]
        play = "each actor keeps its own and evaluation uses none of them; algo.normalize_obs shares one"
        play = play if self.is_remote else "evaluation plays with training's"
        found = [f"keeps running statistics ({', '.join(names)}); {play}"] if names else []
        images = self.env.door.observations.images()
        found += [f"seems to give images ({what}); its networks take plain numbers" for what in images]
        first = [self.begin()]
        obstacle = self.env.snapshots.obstacle() if saves else ""
        if obstacle:
            found.append(f"cannot be saved within an episode ({obstacle}); a resumed run begins one")
        while len(first) <= STEPS and self.spent < SECONDS / 4:
            first.append(self.play(len(first)))
        found += _coarse(np.stack([step[0] for step in first]))
        found += self.env.door.absent_info() if len(first) > 1 else []
        if self.spent > SECONDS / 2:
            return [
                *found,
                "is too slow, here and now, to be tried: whether a run can be repeated exactly is not known",
            ]
        half = len(first) // 2
        again = [self.begin(), *(self.play(count) for count in range(1, half))]
        kept = to_message({"env": self.env.state(), "globals": global_state()})
        again += [self.play(count) for count in range(half, len(first))] if half else []
        differing = [i for i, (one, other) in enumerate(zip(first, again, strict=False)) if not _same(one, other)]
        if differing:
            at = f"at step {differing[0]}" if differing[0] else "at the reset"
            found.append(
                f"cannot be reproduced: two episodes of one seed differ {at}; it draws from elsewhere than "
                "self.np_random, or keeps something over a reset"
            )
        if saves and not obstacle and half and not self.goes_on(kept, again, half):
            found.append("cannot be saved: what it does depends on more than its attributes; a resumed run differs")
        return found

    @property
    def spent(self) -> float:
        return time.perf_counter() - self.start

    def begin(self) -> list[Any]:
        """The first observation of the episode of seed 0; running statistics, which a reset keeps, are as they were."""
        self.reset_wrappers()
        seed_globals(0)
        return [self.env.reset(0)]

    def play(self, count: int) -> list[Any]:
        """What step number `count` gives, and the next episode's first observation where this one ends."""
        action = np.random.default_rng(count).uniform(-1, 1, self.env.spec.action_dim).astype(np.float32)
        obs, reward, terminated, truncated, _ = self.env.step(action)
        ended = [self.env.reset()] if terminated or truncated else []
        return [obs, reward, terminated, truncated, *ended]

    def goes_on(self, kept: bytes, steps: list[Any], half: int) -> bool:
        """Whether the state `kept` leads to the steps from number `half` on again."""
        state = from_message(kept)
        try:
            self.env.put_back(1, state["env"])
            set_global_state(state["globals"])
            return all(_same(steps[count], self.play(count)) for count in range(half, len(steps)))
        except Exception:  # Whatever an environment's own attributes and methods raise.
            return False


def _coarse(obs: Array) -> list[str]:
    """Says which number of observations [N, O] is so large that float32 loses small changes of it."""
    row, place = np.unravel_index(np.abs(obs).argmax(), obs.shape)
    largest = obs[row, place]
    if abs(largest) < COARSE:
        return []
    step = np.spacing(abs(largest))
    what = f"an observation {place} of {largest:.4g}, which float32 resolves only to {step:.2g}"
    return [f"gives {what}; let the environment give differences"]


def _same(one: Any, other: Any) -> bool:
    return to_message(one) == to_message(other)
