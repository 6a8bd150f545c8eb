"""Proximal policy optimisation: A2C that learns from each rollout in several passes."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from rlcont.algos.a2c.agent import A2C, Mean
from rlcont.core.types import Metrics
from rlcont.memory.rollout import Rollout
from rlcont.nn.optim import Adam


class PPOMinibatch(NamedTuple):
    """A `Minibatch`, with the log-probabilities [B] that the samples had when the rollout was played."""

    obs: torch.Tensor
    sample: torch.Tensor
    advantage: torch.Tensor
    value_target: torch.Tensor
    valid: torch.Tensor
    old_log_prob: torch.Tensor


class BaselinesAdam(Adam):
    """Adam with the epsilon of OpenAI Baselines' PPO, which the published curves of PPO were made with."""

    eps = 1e-5


class PPO(A2C):
    """A2C whose loss lets it learn from each row several times: it rewards no change of policy beyond a ratio.

    Source: arXiv:1707.06347, equation 7 and Algorithm 1; the estimate of the divergence is k3 of Schulman 2020,
    http://joschu.net/blog/kl-approx.html: never negative, and of less variance than the mean of -log ratio.
    Differs: advantages are normalised over the rollout, not each minibatch: the deviation of 64 rows is 9 % off by
    chance, and would give each minibatch another step size. The value is not clipped. What else differs from the
    paper is A2C's.
    """

    adam = BaselinesAdam

    def prepare(self, rollout: Rollout) -> dict[str, torch.Tensor]:
        prepared = super().prepare(rollout)
        with torch.no_grad():
            parameters, _ = self.network(prepared.get("obs", rollout.obs))
            return prepared | {"log_prob": self.policy.log_prob(rollout.sample, *parameters)}

    def passes(self, rollout: Rollout, prepared: dict[str, torch.Tensor]) -> Iterator[NamedTuple]:
        for _ in range(self.config.num_epochs):
            for rows in super().passes(rollout, prepared):
                yield PPOMinibatch._make((*rows, prepared["log_prob"]))

    def policy_loss(self, batch: Any, log_prob: torch.Tensor, mean: Mean) -> tuple[torch.Tensor, Metrics]:
        """Minus the mean of min(ratio A, clip(ratio, 1 - clip_range, 1 + clip_range) A), as A2C's."""
        clip_range = self.config.clip_range
        log_ratio = log_prob - batch.old_log_prob
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
        loss = -mean(torch.minimum(ratio * batch.advantage, clipped * batch.advantage))
        kl = mean(log_ratio.expm1() - log_ratio).detach()
        return loss, {"kl": kl, "clip_fraction": mean((ratio != clipped).float())}

    def stops_early(self, metrics: Metrics) -> bool:
        target_kl = self.config.target_kl
        return target_kl is not None and bool(metrics["kl"] > target_kl)
