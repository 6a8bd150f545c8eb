"""Optimisers over one flat vector of weights, in plain tensor operations that a compiler can fuse with what is around
them."""

from typing import ClassVar

import torch

from rlcont.core.state import Parts

SUMMED_BY_ONE_THREAD = 32_768
"""Most numbers that eager PyTorch sums by one thread (at::internal::GRAIN_SIZE)."""


class Optimizer(Parts):
    """What both optimisers share: a guard keeps what is not finite from spreading through the weights.

    Shapes:
        weights [N]; lr [], to be written in place; nan [], 0 until something was not finite.
    """

    unsaved: ClassVar[tuple[str, ...]] = ("weights", "nan")

    def __init__(self, weights: torch.Tensor, lr: float):
        self.weights = weights
        self.lr = torch.tensor(lr, device=weights.device)
        self.nan = torch.zeros((), device=weights.device)

    def guarded(self, grad: torch.Tensor) -> torch.Tensor:
        """`grad` [N], or zeros where any of it, or of the weights, is not finite."""
        total = grad.sum() + self.weights.sum()
        # Not by 0 * total, which a compiler takes for 0.
        self.nan.copy_(torch.where(total.isfinite(), self.nan, total))
        return torch.where(total.isfinite(), grad, 0.0)

    def is_finite(self) -> bool:
        """Whether all gradients and weights were finite; asks the device."""
        return self.nan.item() == 0


class Adam(Optimizer):
    """Adam on one vector.

    Source: arXiv:1412.6980, Algorithm 1, with its default decay rates.

    Shapes:
        mean, square [N].
    """

    beta1, beta2, eps = 0.9, 0.999, 1e-8

    def __init__(self, weights: torch.Tensor, lr: float):
        super().__init__(weights, lr)
        self.mean = torch.zeros_like(weights, requires_grad=False)
        self.square = torch.zeros_like(weights, requires_grad=False)
        # 1 - beta^t by c <- beta c + (1 - beta), from 0: no digits are lost to a difference.
        self.mean_correction = torch.zeros((), device=weights.device)
        self.square_correction = torch.zeros((), device=weights.device)

    def step(self, grad: torch.Tensor) -> None:
        """Moves the weights by one step against `grad` [N], which counts as 0 where it is not finite."""
        with torch.no_grad():
            grad = self.guarded(grad)
            self.mean.lerp_(grad, 1 - self.beta1)
            self.square.mul_(self.beta2).addcmul_(grad, grad, value=1 - self.beta2)
            self.mean_correction.mul_(self.beta1).add_(1 - self.beta1)
            self.square_correction.mul_(self.beta2).add_(1 - self.beta2)
            root = self.square_correction.sqrt()
            step_size = self.lr * root / self.mean_correction
            self.weights.sub_(step_size * self.mean / (self.square.sqrt() + self.eps * root))


class RMSProp(Optimizer):
    """RMSProp on one vector.

    Source: Tieleman & Hinton 2012, lecture 6.5 of Neural Networks for Machine Learning, with the decay rate of A3C
    (arXiv:1602.01783) and the epsilon of OpenAI Baselines' A2C.
    Differs: the mean square is corrected for its start at 0, as Adam's is; the first step would be ten times as long
    as the next ones. The epsilon is added to the root, as PyTorch does, not under it.

    Shapes:
        square [N].
    """

    alpha, eps = 0.99, 1e-5

    def __init__(self, weights: torch.Tensor, lr: float):
        super().__init__(weights, lr)
        self.square = torch.zeros_like(weights, requires_grad=False)
        self.square_correction = torch.zeros((), device=weights.device)

    def step(self, grad: torch.Tensor) -> None:
        """Moves the weights by one step against `grad` [N], which counts as 0 where it is not finite."""
        with torch.no_grad():
            grad = self.guarded(grad)
            self.square.mul_(self.alpha).addcmul_(grad, grad, value=1 - self.alpha)
            self.square_correction.mul_(self.alpha).add_(1 - self.alpha)
            self.weights.sub_(self.lr * grad / ((self.square / self.square_correction).sqrt() + self.eps))


def clip_norm(grad: torch.Tensor, max_norm: float) -> torch.Tensor:
    """`grad` [N], scaled down to a 2-norm of `max_norm` where it is longer.

    Source: arXiv:1211.5063, Algorithm 1.
    """
    # Pieces, since eager PyTorch sums longer vectors in parallel, so that the number of threads would round otherwise.
    pieces = [grad] if torch.compiler.is_compiling() else grad.split(SUMMED_BY_ONE_THREAD)
    norm = grad.norm() if len(pieces) == 1 else torch.stack([piece.norm() for piece in pieces]).norm()
    return grad * (max_norm / norm.clamp(min=max_norm))


def polyak_(target: torch.Tensor, online: torch.Tensor, tau: float) -> None:
    """target <- (1 - tau) target + tau online, in place.

    Source: DDPG, arXiv:1509.02971, Algorithm 1, last line.
    """
    target.lerp_(online, tau)
