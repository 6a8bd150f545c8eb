"""A trained policy for use from Python."""

import contextlib
from pathlib import Path
from typing import Any

from rlcont.core.errors import UserError
from rlcont.core.types import Array
from rlcont.envs.box import BoxEnv
from rlcont.report.play import load_trained
from rlcont.runs.folder import load_config
from rlcont.training.preflight import check_spaces


class TrainedPolicy:
    """A policy of the run in `folder`, in the units of its environment."""

    def __init__(self, folder: Path, policy: str):
        folder, config = folder.absolute(), load_config(folder)  # An environment may change the working directory.
        # Its spaces are all that is needed afterwards; the user may have a simulator of which one can be there.
        with contextlib.closing(BoxEnv(config.env)) as self._env:
            check_spaces(folder, self._env.facts())
            self._policy, facts = load_trained(config, folder, policy, self._env.spec)
        self._name = f"{policy} of {folder}, {config.algo_name} on {config.env.id}, step {facts['step']}"

    def __repr__(self) -> str:
        return f"<policy {self._name}>"

    def act(self, obs: Any) -> Array:
        """The deterministic action for an observation, or the actions for a batch of them.

        Shapes:
            observation as the environment gives it, a batch as `gymnasium.make_vec` gives it; action as the
            environment's action space, a batch [B, ...].

        Raises:
            UserError: it is no observation of the environment.
        """
        try:
            flat, is_batch = self._env.door.observations.flat(obs)
        except ValueError as error:
            raise UserError(f"env={self._env.spec.env_id}: act takes no {str(error).removeprefix('an ')}") from None
        actions = self._env.to_env(self._policy.act(self._env.checked(flat), explore=False))
        shape: Any = self._env.env.action_space.shape
        return actions.reshape(-1, *shape) if is_batch else actions.reshape(shape)
