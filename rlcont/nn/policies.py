"""Stochastic policies on the box [-1, 1]^A: a last layer each, and the maths of its distribution.

A policy draws a *sample* and makes it an *action*. Log-probabilities and entropies are those of the action, in nats,
in units of the box; dimensions are independent, so they are sums over them.

Shapes:
    features [..., F]; both parameters, sample and action [..., A]; log-probability and entropy [...].
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import softplus

from rlcont.core.types import Array
from rlcont.nn.nets import OutputLinear, orthogonal

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(32)
"""Of a mean over N(0, 1), the weights but for a factor."""
SMALL = 0.01
"""Gain of the last layer's initial weights: the first actions hardly depend on what is observed."""

Parameters = tuple[torch.Tensor, torch.Tensor]


class GaussianPolicy(nn.Module):
    """Normal actions: a mean per observation, a learned standard deviation for all.

    Actions may leave the box. The environment layer clips them; the log-probability is that of the action as drawn.
    """

    def __init__(self, num_in: int, action_dim: int, init_std: float, generator: torch.Generator):
        super().__init__()
        self.mean = _small_linear(num_in, action_dim, generator)
        self.log_std = nn.Parameter(torch.full((action_dim,), math.log(init_std), device=generator.device))

    def forward(self, features: torch.Tensor) -> Parameters:
        """Mean and standard deviation."""
        mean = self.mean(features)
        return mean, self.log_std.exp().expand_as(mean)

    @staticmethod
    def log_prob(sample: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
        """-((x - mean) / std)^2 / 2 - ln std - ln(2 pi) / 2."""
        return (-0.5 * ((sample - mean) / std).square() - std.log() - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
        """ln std + ln(2 pi e) / 2."""
        return (std.log() + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    @staticmethod
    def deterministic(mean: Any, std: Any) -> Any:
        """The action without exploration, of arrays or tensors: the mean."""
        return mean

    @staticmethod
    def sample(rng: np.random.Generator, mean: Array, std: Array) -> Array:
        return mean + std * rng.standard_normal(mean.shape, np.float32)

    @staticmethod
    def to_action(sample: Array) -> Array:
        return sample


class BoundedGaussianPolicy(GaussianPolicy):
    """Normal actions around a mean inside the box: tanh of the last layer."""

    def forward(self, features: torch.Tensor) -> Parameters:
        mean, std = super().forward(features)
        return torch.tanh(mean), std


class SquashedPolicy(GaussianPolicy):
    """tanh of a normal sample, so that every action is inside the box.

    The sample is kept as it was before tanh: an action near the edge does not tell it any more.

    Source: SAC, arXiv:1801.01290, appendix C.
    """

    nodes: torch.Tensor
    weights: torch.Tensor

    def __init__(self, num_in: int, action_dim: int, init_std: float, generator: torch.Generator):
        super().__init__(num_in, action_dim, init_std, generator)
        for name, numbers in (("nodes", NODES), ("weights", WEIGHTS / WEIGHTS.sum())):
            self.register_buffer(name, torch.tensor(numbers, device=generator.device), persistent=False)

    @staticmethod
    def log_prob(sample: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
        """ln N(u; mean, std) - ln(1 - tanh(u)^2)."""
        return GaussianPolicy.log_prob(sample, mean, std) - _log_tanh_slope(sample).sum(-1)

    def entropy(self, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
        """H(N(mean, std)) + E[ln(1 - tanh(u)^2)], the expectation by Gauss-Hermite quadrature.

        It has no closed form. The quadrature draws nothing and differentiates; it is exact to 2e-4 up to a std of 2, to
        0.03 up to 5.
        """
        nodes, weights = self.nodes.to(mean.dtype), self.weights.to(mean.dtype)
        u = mean.unsqueeze(-1) + std.unsqueeze(-1) * nodes
        return super().entropy(mean, std) + (_log_tanh_slope(u) * weights).sum((-1, -2))

    @staticmethod
    def deterministic(mean: Any, std: Any) -> Any:
        """The action without exploration: the median, tanh of the mean."""
        return torch.tanh(mean) if isinstance(mean, torch.Tensor) else np.tanh(mean)

    @staticmethod
    def to_action(sample: Array) -> Array:
        return np.tanh(sample)


class SquashedGaussian(nn.Module):
    """obs [B, O] -> mean and standard deviation [B, A] before tanh, which both depend on the observation.

    Source: SAC, arXiv:1812.05905, appendix C, and the bounds of the logarithm from the paper's own code.
    """

    LOG_STD = (-20.0, 2.0)

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, obs: torch.Tensor) -> Parameters:
        mean, log_std = self.body(obs).chunk(2, dim=-1)
        return mean, log_std.clamp(*self.LOG_STD).exp()


class BetaPolicy(nn.Module):
    """Beta-distributed actions, (a + 1) / 2 ~ Beta(alpha, beta) with alpha, beta > 1: one peak, inside the box.

    Source: Chou, Maturana and Scherer 2017, Improving Stochastic Policy Gradients in Continuous Control with Deep
    Reinforcement Learning using the Beta Distribution, section 4.
    """

    edge = 1e-6
    """Distance from the edges that samples keep; rounded to float32 they could lie on them, where the density is 0."""

    def __init__(self, num_in: int, action_dim: int, init_std: float, generator: torch.Generator):
        super().__init__()
        # alpha = beta = c has the deviation 1 / sqrt(2 c + 1) on [-1, 1].
        excess = (init_std**-2 - 1) / 2 - 1
        self.alpha = _small_linear(num_in, action_dim, generator)
        self.beta = _small_linear(num_in, action_dim, generator)
        for layer in (self.alpha, self.beta):
            # softplus of it is excess.
            nn.init.constant_(layer.bias, excess + math.log(-math.expm1(-excess)))

    def forward(self, features: torch.Tensor) -> Parameters:
        """alpha and beta."""
        return 1 + softplus(self.alpha(features)), 1 + softplus(self.beta(features))

    @staticmethod
    def log_prob(sample: torch.Tensor, alpha: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        """(alpha - 1) ln x + (beta - 1) ln(1 - x) - ln B(alpha, beta) - ln 2 at x = (a + 1) / 2."""
        density = (alpha - 1) * ((1 + sample) / 2).log() + (beta - 1) * ((1 - sample) / 2).log()
        return (density - _log_beta(alpha, beta) - math.log(2)).sum(-1)

    def entropy(self, alpha: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        """ln B - (alpha - 1) psi(alpha) - (beta - 1) psi(beta) + (alpha + beta - 2) psi(alpha + beta) + ln 2."""
        digamma = torch.digamma
        own = _log_beta(alpha, beta) - (alpha - 1) * digamma(alpha) - (beta - 1) * digamma(beta)
        return (own + (alpha + beta - 2) * digamma(alpha + beta) + math.log(2)).sum(-1)

    @staticmethod
    def deterministic(alpha: Any, beta: Any) -> Any:
        """The action without exploration: the mean. The mode jumps about where the density is almost flat."""
        return (alpha - beta) / (alpha + beta)

    @classmethod
    def sample(cls, rng: np.random.Generator, alpha: Array, beta: Array) -> Array:
        action = 2 * rng.beta(alpha, beta) - 1
        return np.clip(action, cls.edge - 1, 1 - cls.edge).astype(np.float32)

    @staticmethod
    def to_action(sample: Array) -> Array:
        return sample


class Deterministic(nn.Module):
    """features -> the action without exploration, from a policy's parameters by `action`."""

    def __init__(self, policy: nn.Module, action: Callable[..., Any]):
        super().__init__()
        self.policy = policy
        self.action = action

    def forward(self, features: torch.Tensor) -> Any:
        return self.action(*self.policy(features))


POLICIES: dict[str, type[GaussianPolicy] | type[BetaPolicy]] = {
    "gaussian": GaussianPolicy,
    "bounded_gaussian": BoundedGaussianPolicy,
    "squashed": SquashedPolicy,
    "beta": BetaPolicy,
}


def _small_linear(num_in: int, num_out: int, generator: torch.Generator) -> nn.Linear:
    return orthogonal(num_in, num_out, generator, OutputLinear, SMALL)


def _log_tanh_slope(u: torch.Tensor) -> torch.Tensor:
    """ln(1 - tanh(u)^2), exact where tanh(u) rounds to 1."""
    return 2 * (math.log(2) - u - softplus(-2 * u))


def _log_beta(alpha: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    return torch.lgamma(alpha) + torch.lgamma(beta) - torch.lgamma(alpha + beta)
