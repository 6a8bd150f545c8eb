"""Optimisers over one flat vector of weights."""

from __future__ import annotations

from rlcont.lazy import torch


class Adam:
    """Adam on one vector, in plain tensor operations that a compiler can fuse with what is around them.

    Source: arXiv:1412.6980, Algorithm 1, with its default decay rates.

    Shapes:
        weights, mean, square [N].
    """

    beta1, beta2, eps = 0.9, 0.999, 1e-8

    def __init__(self, weights: torch.Tensor, lr: float):
        self.weights = weights
        self.lr = lr
        self.mean = torch.zeros_like(weights, requires_grad=False)
        self.square = torch.zeros_like(weights, requires_grad=False)
        self.num_steps = torch.zeros((), dtype=torch.int64, device=weights.device)

    def step(self, grad: torch.Tensor) -> None:
        """Moves the weights by one step against `grad` [N]."""
        with torch.no_grad():
            self.num_steps.add_(1)
            self.mean.lerp_(grad, 1 - self.beta1)
            self.square.mul_(self.beta2).addcmul_(grad, grad, value=1 - self.beta2)
            # In float64: 1 - 0.999^t loses half of float32's digits while t is small.
            t = self.num_steps.double()
            step_size = (self.lr / (1 - self.beta1**t)).float()
            square_correction = (1 - self.beta2**t).sqrt().float()
            scale = self.square.sqrt() / square_correction + self.eps
            self.weights.addcdiv_(self.mean * step_size, scale, value=-1)

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"mean": self.mean, "square": self.square, "num_steps": self.num_steps}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        for name, value in self.state_dict().items():
            value.copy_(state[name])
