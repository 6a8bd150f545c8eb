"""Many small parameters as one vector, so that an optimiser or a soft update is one operation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rlcont.lazy import torch


def flatten_(params: Sequence[torch.nn.Parameter]) -> torch.Tensor:
    """Moves `params` into one new vector, in order, and makes each a view of its stretch.

    Writing to the vector writes to the parameters. Names and shapes in their modules stay as they were.
    """
    flat = flat_vector(param.detach() for param in params)
    for param, stretch in zip(params, flat.split([p.numel() for p in params]), strict=True):
        param.data = stretch.view_as(param)
    return flat


def flat_vector(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """A new vector with the elements of `tensors`, in order."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])
