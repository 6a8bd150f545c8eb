"""Training speed of Stable-Baselines3's A2C with its VecNormalize."""

import math

import a2c_setting as setting
import window
from sb3_interface import Ticker
from stable_baselines3 import A2C
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize
from torch import nn
from torch.optim import RMSprop

VECTOR_ENVS = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}


def main() -> None:
    parser = setting.parser(__doc__)
    parser.add_argument("--vec-env", choices=VECTOR_ENVS, default="dummy", help="what steps the environments (dummy)")
    arguments = parser.parse_args()

    bare = make_vec_env(
        window.ENV_ID, n_envs=setting.NUM_ENVS, seed=arguments.seed, vec_env_cls=VECTOR_ENVS[arguments.vec_env]
    )
    envs = VecNormalize(bare, gamma=setting.GAMMA)
    model = A2C(
        "MlpPolicy",
        envs,
        learning_rate=setting.LEARNING_RATE,
        n_steps=setting.ROLLOUT_STEPS,
        gamma=setting.GAMMA,
        gae_lambda=setting.GAE_LAMBDA,
        ent_coef=setting.ENTROPY_COEF,
        vf_coef=setting.VALUE_COEF,
        max_grad_norm=setting.MAX_GRAD_NORM,
        rms_prop_eps=setting.RMSPROP_EPS,
        use_rms_prop=True,
        normalize_advantage=True,
        policy_kwargs={
            "net_arch": {"pi": arguments.hidden, "vf": arguments.hidden},
            "activation_fn": nn.Tanh,
            "log_std_init": math.log(setting.INIT_STD),
        },
        seed=arguments.seed,
        device="cpu",
    )
    optimizer = model.policy.optimizer
    assert isinstance(optimizer, RMSprop)
    assert optimizer.defaults["alpha"] == setting.RMSPROP_ALPHA

    def updates() -> dict[str, int]:
        """Steps that RMSprop has taken; it holds the weights of both networks."""
        return {"policy and value": int(next(iter(optimizer.state.values()))["step"])}

    measured = window.Window(arguments.settle, arguments.steps, updates, setting.STEPS_PER_UPDATE)
    model.learn(measured.last, callback=Ticker(measured))
    envs.close()
    measured.report("sb3", ["stable-baselines3", "torch", "numpy", "gymnasium", "mujoco"])


# SubprocVecEnv's processes import this file.
if __name__ == "__main__":
    main()
