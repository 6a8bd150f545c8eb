"""Networks: multilayer perceptrons, policies and critics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


def linear(num_in: int, num_out: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with weights and bias uniform in ±1/sqrt(num_in), drawn from `generator`.

    Source: PyTorch's own default, which the published DDPG figures were made with.
    Differs: the original paper (arXiv:1509.02971, section 7) draws the last layer from ±3e-3.
    """
    layer = nn.utils.skip_init(nn.Linear, num_in, num_out, device=generator.device)
    bound = num_in**-0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def mlp(
    num_in: int,
    hidden: Sequence[int],
    num_out: int,
    activation: str,
    layer_norm: bool,
    generator: torch.Generator,
) -> nn.Sequential:
    """num_in -> hidden... -> num_out, with `activation` between and nothing after the last layer."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers.append(linear(num_in, width, generator))
        if layer_norm:
            layers.append(nn.LayerNorm(width, device=generator.device))
        layers.append(ACTIVATIONS[activation]())
        num_in = width
    return nn.Sequential(*layers, linear(num_in, num_out, generator))


class DeterministicPolicy(nn.Module):
    """obs [B, O] -> action [B, A] in [-1, 1]."""

    def __init__(self, body: nn.Sequential):
        super().__init__()
        self.body = body

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.body(obs))


class QFunction(nn.Module):
    """(obs [B, O], action [B, A]) -> value [B]."""

    def __init__(self, body: nn.Sequential):
        super().__init__()
        self.body = body

    def forward(self, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return self.body(torch.cat([obs, action], dim=-1)).squeeze(-1)
