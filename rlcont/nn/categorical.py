"""Distributions over evenly spaced atoms."""

import torch


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
