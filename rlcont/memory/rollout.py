"""The experience of one rollout with the current policy."""

from typing import Any, NamedTuple

import torch

from rlcont.core.types import Array


class Rollout(NamedTuple):
    """T steps of E environments in the order they were made.

    Shapes:
        obs, next_obs [T, E, O]; sample [T, E, A]; reward, discount [T, E], all float32; ended, valid [T, E] bool.

    `sample` is what the policy drew, before it was made an action. `discount` is gamma, and 0 where the episode
    terminated. Skip rows that are not `valid`: the simulator failed there.
    """

    obs: torch.Tensor
    sample: torch.Tensor
    reward: torch.Tensor
    discount: torch.Tensor
    next_obs: torch.Tensor
    ended: torch.Tensor
    valid: torch.Tensor


class RolloutMemory:
    """Room for one rollout, written step by step."""

    def __init__(self, num_steps: int, num_envs: int, obs_dim: int, action_dim: int):
        self.num_steps = num_steps
        self.position = 0
        rows = (num_steps, num_envs)
        widths = {"obs": [obs_dim], "sample": [action_dim], "next_obs": [obs_dim]}
        self.tensors = Rollout(
            *(
                torch.zeros(*rows, *widths.get(name, []), dtype=torch.bool if name in ("ended", "valid") else None)
                for name in Rollout._fields
            )
        )
        self._arrays = [tensor.numpy() for tensor in self.tensors]

    @property
    def full(self) -> bool:
        return self.position == self.num_steps

    def add(self, *columns: Array) -> None:
        """Writes one step, columns [E, ...] in the order of Rollout's fields."""
        for array, column in zip(self._arrays, columns, strict=True):
            array[self.position] = column
        self.position += 1

    def cut_off(self, envs: Array) -> None:
        """Truncates the running episodes of the environments `envs` [E] bool after the last step written."""
        if self.position > 0:
            self.tensors.ended[self.position - 1] |= torch.from_numpy(envs)

    def clear(self) -> None:
        """Starts the next rollout, which overwrites this one."""
        self.position = 0

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position, **self.tensors._asdict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]
        for name, tensor in self.tensors._asdict().items():
            tensor.copy_(state[name])
