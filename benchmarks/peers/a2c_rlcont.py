"""Training speed of the `rlcont` command's A2C, its logging included."""

import math

import a2c_setting as setting
import rlcont_command
import window

parser = setting.parser(__doc__)
parser.add_argument("--precision", help="passed on as precision=…")
parser.add_argument(
    "--compile", default="true", help="passed on as compile=…; auto would not compile a run as short as this one (true)"
)
arguments = parser.parse_args()

first = arguments.settle
last = first + arguments.steps
settings = {
    "algo": "a2c",
    "env": window.ENV_ID,
    "tuned": "none",
    "device": "cpu",
    "seed": arguments.seed,
    "num_envs": setting.NUM_ENVS,
    "algo.rollout_steps": setting.ROLLOUT_STEPS,
    "algo.num_minibatches": 1,
    "algo.policy": "gaussian",
    "algo.init_std": setting.INIT_STD,
    "algo.network.hidden": str(arguments.hidden).replace(" ", ""),
    "algo.network.activation": "tanh",
    "algo.network.layer_norm": "false",
    "algo.shared_trunk": "false",
    "algo.optimizer": "rmsprop",
    "algo.lr": setting.LEARNING_RATE,
    "algo.lr_decay.kind": "none",
    "algo.gamma": setting.GAMMA,
    "algo.gae_lambda": setting.GAE_LAMBDA,
    "algo.value_coef": setting.VALUE_COEF,
    "algo.entropy_coef": setting.ENTROPY_COEF,
    "algo.max_grad_norm": setting.MAX_GRAD_NORM,
    "algo.normalize_advantage": "true",
    "algo.normalize_obs": "true",
    "algo.normalize_reward": "true",
    "total_steps": last,
    "eval.every": last,
    "eval.episodes": 1,
    # 1000 is the default; 1024 is the nearest that ends with a rollout, as the window does.
    "log.every": math.gcd(1024, first, arguments.steps),
} | {key: value for key in ("precision", "compile") if (value := getattr(arguments, key)) is not None}

measured = rlcont_command.measure(settings, first, last)
window.print_result(
    "rlcont",
    arguments.steps,
    {"policy and value": measured.updates},
    measured.begin,
    measured.seconds,
    rlcont_command.PACKAGES,
    steps_per_update=setting.STEPS_PER_UPDATE,
    chosen=f"workers={measured.workers} at first",
)
