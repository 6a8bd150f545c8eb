"""Training speed of RLtools' TD3, which it compiles for these sizes at the first run."""

import importlib
import sys
import tempfile
from pathlib import Path

import gymnasium
import window

# RLtools keeps what it compiles in the temporary folder of its import, which other versions and users share.
tempfile.tempdir = str(Path(sys.prefix) / "compiled")
Path(tempfile.tempdir).mkdir(exist_ok=True)
TD3 = importlib.import_module("rltools").TD3

arguments = window.parser(__doc__).parse_args()
(width,) = set(arguments.hidden)  # It has one width for all hidden layers.


def make_env() -> gymnasium.Env:
    env = gymnasium.make(window.ENV_ID)
    env.reset(seed=arguments.seed)
    return env


layers = len(arguments.hidden) + 1
module = TD3(
    make_env,
    enable_evaluation=False,
    GAMMA=window.GAMMA,
    ACTOR_BATCH_SIZE=window.BATCH_SIZE,
    CRITIC_BATCH_SIZE=window.BATCH_SIZE,
    ACTOR_POLYAK=1 - window.TAU,
    CRITIC_POLYAK=1 - window.TAU,
    N_WARMUP_STEPS=arguments.warmup,
    STEP_LIMIT=window.REPLAY_SIZE,
    REPLAY_BUFFER_CAP=window.REPLAY_SIZE,
    ACTOR_HIDDEN_DIM=width,
    ACTOR_NUM_LAYERS=layers,
    CRITIC_HIDDEN_DIM=width,
    CRITIC_NUM_LAYERS=layers,
    EXPLORATION_NOISE=window.NOISE_SIGMA,
    OPTIMIZER_ALPHA=window.LEARNING_RATE,
)
state = module.State(arguments.seed)
# Its optimisers show no counters. After the random steps, a step has one update of the critics, every second one of
# the actor.
measured = window.Window(arguments.warmup + arguments.settle, arguments.steps, dict)
for step in range(1, measured.last + 1):
    state.step()
    measured.tick(step)
measured.report("rltools", ["rltools", "mkl", "numpy", "gymnasium", "mujoco"])
