"""Trains with bf16 matrix products on a processor whose own are too slow, for the return that they cost.

    OMP_NUM_THREADS=1 python benchmarks/bf16_emulated.py env=HalfCheetah-v4 total_steps=200000 seed=1 compile=true

Takes rlcont's arguments. What autocast gives to a product in bf16 (inputs, weights, biases, and the gradients on the
way back) is rounded to bf16 here and multiplied in fp32, and the result is rounded: the numbers of a bf16 product that
accumulates in fp32, but for the order of its sums. As with autocast, last layers, optimisers and acting stay in fp32.
The update must be compiled: it is known by that.
"""

from typing import Any

import torch
from torch import nn

from rlcont import nets
from rlcont.cli import main


class RoundedLinear(nn.Linear):
    """A linear layer whose product has the precision of bf16."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.compiler.is_compiling():
            return super().forward(x)
        return _Rounded.apply(
            nn.functional.linear(_Rounded.apply(x), _Rounded.apply(self.weight), _Rounded.apply(self.bias))
        )


class _Rounded(torch.autograd.Function):
    """A tensor in steps of bf16; so is the gradient that comes back through it."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return _to_8_bits(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return _to_8_bits(grad)


def _to_8_bits(x: torch.Tensor) -> torch.Tensor:
    """`x` with the 8 bits that bf16 has, by Veltkamp's splitting: a compiler drops conversions to bf16 and back."""
    scaled = x * (2.0**16 + 1)
    return scaled - (scaled - x)


if __name__ == "__main__":
    # The type of the layers whose callers name none: all but the last.
    nets.linear.__defaults__ = (RoundedLinear,)
    main()
