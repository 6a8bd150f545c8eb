"""How much memory replays take. It is checked before a run starts, so this needs no torch."""

BLOCK = 64
"""Priorities that are summed together."""


def row_width(obs_dim: int, action_dim: int) -> int:
    """Numbers in one transition: obs, action, reward, discount, next_obs."""
    return 2 * obs_dim + action_dim + 2


def replay_bytes(capacity: int, obs_dim: int, action_dim: int) -> int:
    """Bytes of `capacity` float32 transitions."""
    return 4 * capacity * row_width(obs_dim, action_dim)


def block_sums_bytes(size: int) -> int:
    """Bytes of `size` float64 priorities and of the sums over their blocks."""
    return 8 * ((BLOCK + 2) * num_blocks(size) + 1)


def num_blocks(size: int) -> int:
    """Blocks that `size` priorities fill."""
    return -(-size // BLOCK)
