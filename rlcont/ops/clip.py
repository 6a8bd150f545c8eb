"""Gradient clipping."""

from __future__ import annotations

from rlcont.lazy import torch


def clip_norm(grad: torch.Tensor, max_norm: float) -> torch.Tensor:
    """`grad` [N], scaled down to a 2-norm of `max_norm` where it is longer.

    Source: arXiv:1211.5063, Algorithm 1.
    """
    return grad * (max_norm / grad.norm().clamp(min=max_norm))
