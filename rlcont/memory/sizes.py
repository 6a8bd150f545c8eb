"""The memory that replays take, without torch, since it is checked before a run starts."""

BRANCHES = 32
"""Children of each node of a sum tree."""


def row_width(obs_dim: int, action_dim: int) -> int:
    """Numbers in one transition: obs, action, reward, discount, next_obs."""
    return 2 * obs_dim + action_dim + 2


def replay_bytes(capacity: int, obs_dim: int, action_dim: int) -> int:
    """Bytes of `capacity` float32 transitions."""
    return 4 * capacity * row_width(obs_dim, action_dim)


def sum_tree_bytes(size: int) -> int:
    """Bytes of a sum tree over `size` float64 numbers."""
    return sum(8 * BRANCHES * -(-width // BRANCHES) for width in level_widths(size))


def level_widths(size: int) -> list[int]:
    """Numbers in each level of a sum tree over `size` numbers, the leaves first and the root last."""
    widths = [size]
    while widths[-1] > 1:
        widths.append(-(-widths[-1] // BRANCHES))
    return widths
