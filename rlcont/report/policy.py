"""A trained policy for use from Python."""

from pathlib import Path
from typing import Any

from rlcont.core.types import Array
from rlcont.envs.box import BoxEnv
from rlcont.envs.units import flat_observations
from rlcont.report.play import load_trained
from rlcont.runs.folder import load_config


class TrainedPolicy:
    """A policy of the run in `folder`, in the units of its environment."""

    def __init__(self, folder: Path, checkpoint: str):
        self._env = BoxEnv(load_config(folder).env)
        _, self._policy, _ = load_trained(folder, checkpoint, self._env.spec)

    def act(self, obs: Any) -> Array:
        """The deterministic action for an observation, or the actions for a batch of them.

        Shapes:
            observation as the environment gives it, a batch as `gymnasium.make_vec` gives it; action as the
            environment's action space, a batch [B, ...].
        """
        flat, is_batch = flat_observations(self._env.env.observation_space, obs)
        actions = self._env.to_env(self._policy.act(flat, explore=False))
        shape: Any = self._env.env.action_space.shape
        return actions.reshape(-1, *shape) if is_batch else actions.reshape(shape)
