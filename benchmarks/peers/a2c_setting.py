"""What A2C's drivers share: its settings and their arguments. Standard library only."""

from __future__ import annotations

import argparse

import window

NUM_ENVS = 8
ROLLOUT_STEPS = 32
STEPS_PER_UPDATE = NUM_ENVS * ROLLOUT_STEPS
LEARNING_RATE = 7e-4
RMSPROP_ALPHA = 0.99
RMSPROP_EPS = 1e-5
GAMMA = 0.99
GAE_LAMBDA = 0.95
VALUE_COEF = 0.5
ENTROPY_COEF = 0.0
MAX_GRAD_NORM = 0.5
INIT_STD = 0.5


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments of every driver of A2C, which has no random steps before learning."""
    arguments = argparse.ArgumentParser(description=description.partition("\n")[0])
    arguments.add_argument("--hidden", type=window.widths, default=[64, 64], help="units of policy and value, each")
    arguments.add_argument("--steps", type=whole_rollouts, default=61_440, help="environment steps of the window")
    arguments.add_argument("--settle", type=whole_rollouts, default=153_600, help="environment steps before the window")
    arguments.add_argument("--seed", type=int, default=0)
    return arguments


def whole_rollouts(text: str) -> int:
    """A number of environment steps after which an update is due."""
    steps = int(text)
    if steps % STEPS_PER_UPDATE != 0 or steps <= 0:
        raise argparse.ArgumentTypeError(f"{steps} is no multiple of {STEPS_PER_UPDATE}, the steps of a rollout")
    return steps
