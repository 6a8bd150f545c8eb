"""Soft update of target networks."""

from __future__ import annotations

from rlcont.lazy import torch


def polyak_(target: torch.Tensor, online: torch.Tensor, tau: float) -> None:
    """target <- (1 - tau) target + tau online, in place.

    Source: DDPG, arXiv:1509.02971, Algorithm 1, last line.
    """
    target.lerp_(online, tau)
