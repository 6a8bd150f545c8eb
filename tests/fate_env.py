"""An environment that decides what becomes of its run; importing this registers it."""

import os
import signal
import sys
import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

LAST_STEP = 120
IN_WORKER = sys.argv[0] == "-c" and sys.argv[1:] != [] and sys.argv[1].startswith("[")
"""Whether a worker's command line began this process (`START` of rlcont.envs.workers)."""


class Fate(gymnasium.Env):
    """At its own step 120: raises, hangs, hangs deaf to Ctrl-C, is killed, observes a NaN, or takes a second a step
    from then on. With any other fate it goes on.

    A fate that begins with worker- spares the process that trains.
    """

    action_space = Box(-1, 1, (1,))
    observation_space = Box(-1, 1, (1,))

    def __init__(self, fate: str):
        spared = fate.startswith("worker-") and not IN_WORKER
        self.fate = "none" if spared else fate.removeprefix("worker-")
        self.num_steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.num_steps += 1
        if self.num_steps == LAST_STEP:
            print("fate has struck", flush=True)
            if self.fate == "raise":
                raise RuntimeError("this is fate\nand more of it")
            if self.fate == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fate.startswith("hang"):
                for _ in range(6000):  # A signal that comes just before a sleep is heard only after it.
                    time.sleep(0.1)
            while self.fate == "deaf":
                try:
                    time.sleep(600)
                except KeyboardInterrupt:
                    continue
            if self.fate == "blind":
                return np.full(1, np.nan, np.float32), 1.0, False, False, {}
        if self.num_steps >= LAST_STEP and self.fate.startswith("slow"):
            time.sleep(1)
        return np.zeros(1, np.float32), 1.0, False, False, {}


gymnasium.register("Fate-v0", Fate, max_episode_steps=10)
