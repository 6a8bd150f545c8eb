"""Advantages of a stretch of experience."""

import torch


def gae(
    reward: torch.Tensor,
    discount: torch.Tensor,
    value: torch.Tensor,
    next_value: torch.Tensor,
    ended: torch.Tensor,
    gae_lambda: float,
) -> torch.Tensor:
    """Generalised advantage estimates: A_t = delta_t + lambda discount_t A_{t+1}, within each episode.

    delta_t = reward_t + discount_t next_value_t - value_t. Where an episode `ended`, nothing is carried over from the
    row after it; a truncated row has its discount, and so bootstraps from its own next_value.

    Source: arXiv:1506.02438, equations 11 and 16.

    Shapes:
        all [T, E]; ended bool.
    """
    delta = reward + discount * next_value - value
    return suffix_sums(delta, gae_lambda * discount * (~ended).to(discount.dtype))


def suffix_sums(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """y_t = x_t + factor_t y_{t+1}, from the end of the first dimension, with nothing behind it.

    By doubling: after k rounds each row holds the sum of the 2^k rows from itself on, so T rows take log2(T) rounds.
    """
    stride = 1
    while stride < len(x):
        x = torch.cat([x[:-stride] + factor[:-stride] * x[stride:], x[-stride:]])
        # The last rows' factors reach behind the end, and nobody reads them.
        factor = torch.cat([factor[:-stride] * factor[stride:], factor[-stride:]])
        stride *= 2
    return x
