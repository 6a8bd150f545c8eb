"""Training speed of the `rlcont` command itself, its logging included, read from the times of its own log lines."""

import math
import subprocess
import sys
import tempfile
from pathlib import Path

import window
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

parser = window.parser(__doc__)
parser.add_argument("--precision", help="passed on as precision=…")
parser.add_argument(
    "--compile", default="true", help="passed on as compile=…; auto would not compile a run as short as this one (true)"
)
arguments = parser.parse_args()

first = arguments.warmup + arguments.settle
last = first + arguments.steps
hidden = str(arguments.hidden).replace(" ", "")
settings = {
    "algo": "ddpg",
    "env": window.ENV_ID,
    "tuned": "none",
    "device": "cpu",
    "seed": arguments.seed,
    "algo.actor.hidden": hidden,
    "algo.critic.hidden": hidden,
    "algo.actor.lr": window.LEARNING_RATE,
    "algo.critic.lr": window.LEARNING_RATE,
    "algo.batch_size": window.BATCH_SIZE,
    "algo.tau": window.TAU,
    "algo.gamma": window.GAMMA,
    "algo.replay_size": window.REPLAY_SIZE,
    "algo.warmup_steps": arguments.warmup,
    "noise": "gaussian",
    "noise.sigma": window.NOISE_SIGMA,
    "total_steps": last,
    "eval.every": last,
    "eval.episodes": 1,
    # 1000 is the default; a window that is no multiple of it needs log lines at its two ends.
    "log.every": math.gcd(1000, first, arguments.steps),
} | {key: value for key in ("precision", "compile") if (value := getattr(arguments, key)) is not None}

with tempfile.TemporaryDirectory() as folder:
    overrides = [f"{key}={value}" for key, value in settings.items()]
    command = [str(Path(sys.executable).with_name("rlcont")), *overrides, f"output={folder}"]
    code = subprocess.run(command, stdout=sys.stderr).returncode
    if code != 0:
        sys.exit(code)
    (events,) = Path(folder).rglob("events.out.tfevents.*")
    accumulator = EventAccumulator(str(events), size_guidance={"scalars": 0})
    accumulator.Reload()
    points = {event.step: event for event in accumulator.Scalars("train/num_updates")}

begin, end = points[first], points[last]
window.print_result(
    "rlcont",
    arguments.steps,
    {"critic and actor": round(end.value - begin.value)},
    begin.wall_time,
    end.wall_time - begin.wall_time,
    ["rlcont", "torch", "numpy", "gymnasium", "mujoco"],
)
