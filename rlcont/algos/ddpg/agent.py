"""Deep deterministic policy gradient."""

from typing import Any, ClassVar

import torch

from rlcont.algos.ddpg.config import DDPGConfig
from rlcont.algos.off_policy.agent import OffPolicy
from rlcont.core.seeding import torch_generator
from rlcont.core.types import Batch, EnvSpec, Metrics
from rlcont.exploration.config import NoiseConfig
from rlcont.nn import nets
from rlcont.nn.optim import polyak_


class DDPG(OffPolicy):
    """An off-policy actor-critic with a deterministic policy.

    Source: arXiv:1509.02971, Algorithm 1.
    Differs: as `OffPolicy` says. With several critics, a delayed actor and target policy smoothing it is TD3
    (arXiv:1802.09477, Algorithm 1).

    Seams besides those of `OffPolicy`:
        next_action: the action that a TD target bootstraps from.
    """

    unsaved: ClassVar[tuple[str, ...]] = ("smoothing",)  # It is drawn anew before each update.

    def __init__(self, config: DDPGConfig, noise: NoiseConfig, spec: EnvSpec, *, seed: int, device: str, **sizes: Any):
        super().__init__(config, noise, spec, seed=seed, device=device, **sizes)
        self.smoothing_rng = torch_generator(seed, "smoothing")
        self.smoothing = torch.zeros(config.batch_size, spec.action_dim, device=device)
        """Noise on the target policy's actions in the next update [B, A]."""

    @staticmethod
    def make_actor(config: DDPGConfig, spec: EnvSpec, generator: torch.Generator) -> torch.nn.Module:
        return nets.DeterministicPolicy(nets.mlp(spec.obs_dim, config.actor, spec.action_dim, generator))

    def make_targets(self) -> None:
        self.target_actor = self.actor.frozen_copy()
        super().make_targets()

    def update_targets(self) -> None:
        super().update_targets()
        with torch.no_grad():
            polyak_(self.target_actor.weights, self.actor.weights, self.config.tau)

    def draw(self) -> None:
        config = self.config
        if config.target_sigma > 0:
            noise = torch.empty(self.smoothing.shape).normal_(0, config.target_sigma, generator=self.smoothing_rng)
            self.smoothing.copy_(noise.clamp_(-config.target_clip, config.target_clip))

    def next_action(self, batch: Batch) -> torch.Tensor:
        """The target policy's actions [B, A], smoothed by noise (arXiv:1802.09477, equation 14)."""
        action = self.target_actor(batch.next_obs)
        return action if self.config.target_sigma == 0 else (action + self.smoothing).clamp(-1, 1)

    def next_value(self, batch: Batch) -> torch.Tensor:
        """Q'(s', mu'(s')) [B] (equation 5), of several critics the lowest (arXiv:1802.09477, equation 10)."""
        return self.target_critic(batch.next_obs, self.next_action(batch)).amin(0)

    def actor_loss(self, obs: torch.Tensor) -> tuple[torch.Tensor, Metrics]:
        """Minus the mean value of the policy's own actions (equation 6)."""
        return -self.q_value(obs, self.actor(obs)).mean(), {}
