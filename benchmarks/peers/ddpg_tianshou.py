"""Training speed of Tianshou's DDPG, assembled as in its own MuJoCo example."""

import gymnasium
import numpy as np
import torch
import window
from tianshou.algorithm import DDPG
from tianshou.algorithm.modelfree.ddpg import ContinuousDeterministicPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.exploration import GaussianNoise
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.continuous import ContinuousActorDeterministic, ContinuousCritic

arguments = window.parser(__doc__).parse_args()

# Tianshou's exploration noise draws from numpy's legacy global generator and takes no other: --seed reaches it only so.
np.random.set_bit_generator(np.random.MT19937(arguments.seed))
torch.manual_seed(arguments.seed)

env = gymnasium.make(window.ENV_ID)
obs_shape, action_shape = env.observation_space.shape, env.action_space.shape
actor = ContinuousActorDeterministic(
    preprocess_net=Net(state_shape=obs_shape, hidden_sizes=arguments.hidden), action_shape=action_shape
)
critic_body = Net(state_shape=obs_shape, action_shape=action_shape, hidden_sizes=arguments.hidden, concat=True)
algorithm = DDPG(
    policy=ContinuousDeterministicPolicy(
        actor=actor, exploration_noise=GaussianNoise(sigma=window.NOISE_SIGMA), action_space=env.action_space
    ),
    policy_optim=AdamOptimizerFactory(lr=window.LEARNING_RATE),
    critic=ContinuousCritic(preprocess_net=critic_body),
    critic_optim=AdamOptimizerFactory(lr=window.LEARNING_RATE),
    tau=window.TAU,
    gamma=window.GAMMA,
)
envs = DummyVectorEnv([lambda: gymnasium.make(window.ENV_ID)])
envs.seed(arguments.seed)
collector = Collector(algorithm, envs, VectorReplayBuffer(window.REPLAY_SIZE, 1), exploration_noise=True)
collector.reset()
collector.collect(n_step=arguments.warmup, random=True)


def updates() -> dict[str, int]:
    """Steps that Adam has taken, by network."""
    optimizers = {"critic": algorithm.critic_optim, "actor": algorithm.policy_optim}
    return {name: int(next(iter(own._optim.state.values()))["step"]) for name, own in optimizers.items()}


# The trainer counts from the end of the random steps, and reports a step before it is taken.
measured = window.Window(arguments.settle, arguments.steps, updates)
algorithm.run_training(
    OffPolicyTrainerParams(
        training_collector=collector,
        max_epochs=1,
        epoch_num_steps=measured.last + 1,
        collection_step_num_env_steps=1,
        update_step_num_gradient_steps_per_sample=1.0,
        batch_size=window.BATCH_SIZE,
        training_fn=lambda epoch, step: measured.tick(step),
        show_progress=False,
        verbose=False,
    )
)
measured.report("tianshou", ["tianshou", "torch", "numpy", "gymnasium", "mujoco"])
