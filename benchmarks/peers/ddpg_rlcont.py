"""Training speed of the `rlcont` command's DDPG, or of an algorithm built on it, its logging included."""

import math

import rlcont_command
import window

parser = window.parser(__doc__)
parser.add_argument("--precision", help="passed on as precision=…")
parser.add_argument(
    "--compile", default="true", help="passed on as compile=…; auto would not compile a run as short as this one (true)"
)
parser.add_argument("--settings", nargs="*", default=[], metavar="KEY=VALUE", help="passed on; they win over the rest")
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
}
settings |= {key: value for key in ("precision", "compile") if (value := getattr(arguments, key)) is not None}
settings |= dict(setting.split("=", 1) for setting in arguments.settings)

measured = rlcont_command.measure(settings, first, last)
window.print_result(
    "rlcont",
    arguments.steps,
    {"critic and actor": measured.updates},
    measured.begin,
    measured.seconds,
    rlcont_command.PACKAGES,
)
