"""Distributions over evenly spaced atoms, and the range that these span."""

from typing import Any

import torch

from rlcont.core.types import Array


def project(
    probs: torch.Tensor, atoms: torch.Tensor, reward: torch.Tensor, discount: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The distribution of reward + discount Z, for Z distributed over `atoms`, brought back onto the atoms.

    Each shifted atom z gives its mass to its two neighbours on the grid, in proportion to how near they are, so that
    the mean stays where it was. What falls outside the atoms goes to the outermost.

    Source: arXiv:1707.06887, equation 7.
    Differs: on the CPU, written with one neighbour below and the share of the one above it.

    Shapes:
        probs [B, K], rows that sum to 1; atoms [K], ascending; reward, discount [B].

    Returns:
        The distribution [B, K], and the mass [B] that fell outside.
    """
    num_atoms = len(atoms)
    spacing = (atoms[-1] - atoms[0]) / (num_atoms - 1)
    place = (reward[:, None] + discount[:, None] * atoms - atoms[0]) / spacing
    # What rounding puts past the last atom is not outside.
    outside = (place < -1e-3) | (place > num_atoms - 1 + 1e-3)
    place = place.clamp(0, num_atoms - 1)
    # On CUDA scatter_add adds in no fixed order, so that the same seed would not give the same run.
    spread = _spread_by_pairs if probs.is_cuda else _spread_by_scatter
    return spread(probs, place), (probs * outside).sum(1)


def _spread_by_scatter(probs: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Spreads each mass over the two atoms around its `place` [B, K], in spacings from the first atom."""
    below = place.floor().clamp(max=probs.shape[1] - 2)
    share = place - below
    index = below.long()
    projected = torch.zeros_like(probs).scatter_add(1, index, probs * (1 - share))
    return projected.scatter_add(1, index + 1, probs * share)


def _spread_by_pairs(probs: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """The same as a sum over all pairs of atoms [B, K, K], whose order is fixed."""
    atom = torch.arange(probs.shape[1], dtype=place.dtype, device=place.device)
    share = (1 - (place[:, None, :] - atom[:, None]).abs()).clamp(min=0)
    return (probs[:, None, :] * share).sum(2)


def resampling(num_atoms: int, old: tuple[float, float], new: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """How logits over atoms on the range `old` become logits of about the same distribution over atoms on `new`.

    new_logits = matrix @ logits + offset: interpolated between the atoms, and beyond the outermost falling by 1
    with every old spacing.

    Returns:
        matrix [K, K], offset [K], in float64.
    """
    spacing = (old[1] - old[0]) / (num_atoms - 1)
    place = (torch.linspace(new[0], new[1], num_atoms, dtype=torch.float64) - old[0]) / spacing
    inside = place.clamp(0, num_atoms - 1)
    below = inside.floor().clamp(max=num_atoms - 2)
    share = (inside - below)[:, None]
    eye = torch.eye(num_atoms, dtype=torch.float64)
    index = below.long()
    return (1 - share) * eye[index] + share * eye[index + 1], -(place - inside).abs()


class Support:
    """K evenly spaced atoms between given bounds, or between bounds that follow the returns of the episodes.

    The bounds follow the discounted sums of the rewards that came (`RunningReturn`, which goes on across a time limit
    as bootstrapping does). They do not follow the critic, whose errors would feed on themselves. The support spans the
    sums and 0, with `MARGIN` of their range on both sides, since a policy is worth more than its noisy episodes. When a
    sum comes nearer to a bound than `SLACK` of the range, the bounds are set anew. The support never shrinks. It is
    proportional to the rewards, whatever their unit.

    Shapes:
        atoms [K], written in place.
    """

    MARGIN, SLACK = 0.3, 0.1

    def __init__(self, num_atoms: int, bounds: tuple[float, float] | None, device: str):
        self.given = bounds is not None
        self.atoms = torch.empty(num_atoms, device=device)
        self.move(bounds or (-1.0, 1.0))
        self.fitted = self.given
        """Whether the bounds come from the user or from a return; before the first reward they do not."""
        self.low = self.high = 0.0

    def include(self, returns: Array) -> None:
        """Extends the range of returns by discounted returns, of any shape."""
        if len(returns):
            self.low, self.high = min(self.low, float(returns.min())), max(self.high, float(returns.max()))

    def outgrown(self) -> bool:
        """Whether the range of returns has come too near to a bound."""
        width = self.high - self.low
        if self.given or width == 0:
            return False
        slack = self.SLACK * width
        return not self.fitted or self.low - slack < self.bounds[0] or self.high + slack > self.bounds[1]

    def fit(self) -> None:
        """Spans the range of returns with its margins."""
        margin = self.MARGIN * (self.high - self.low)
        self.move((self.low - margin, self.high + margin))
        self.fitted = True

    def move(self, bounds: tuple[float, float]) -> None:
        """Moves the atoms to between `bounds`."""
        self.bounds: tuple[float, float] = bounds
        self.atoms.copy_(torch.linspace(*bounds, len(self.atoms)))

    def state_dict(self) -> dict[str, Any]:
        return {"bounds": list(self.bounds), "fitted": self.fitted, "low": self.low, "high": self.high}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        v_min, v_max = state["bounds"]
        self.move((v_min, v_max))
        self.fitted, self.low, self.high = state["fitted"], state["low"], state["high"]
