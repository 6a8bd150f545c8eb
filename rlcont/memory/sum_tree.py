"""Sums over stretches of many numbers, for drawing in proportion to them."""

import torch

from rlcont.memory.sizes import BRANCHES, level_widths


class SumTree:
    """`size` numbers, 0 at first, and a tree of the sums of 32 neighbours at a time.

    A number is set, or found by its place in the running sum, by one operation on 32 columns for each of the
    ceil(log32(size)) levels, for many at once: two for a thousand numbers, four for a million.

    Source: arXiv:1511.05952, appendix B.2.1.
    Differs: 32 branches at a node instead of 2; sums are added anew, so that no error piles up.

    Shapes:
        leaves [size] float64, to be read.
    """

    def __init__(self, size: int, device: torch.device):
        widths = level_widths(size)
        # Each level but the root is filled up to whole nodes, with zeros.
        self._levels = [
            torch.zeros(-(-width // BRANCHES) * BRANCHES, dtype=torch.float64, device=device) for width in widths[:-1]
        ]
        self._levels.append(torch.zeros(1, dtype=torch.float64, device=device))
        self._nodes = [level.view(-1, BRANCHES) for level in self._levels[:-1]]
        self.leaves = self._levels[0][:size]

    @property
    def total(self) -> torch.Tensor:
        """The sum of all numbers, []."""
        return self._levels[-1][0]

    def set(self, index: torch.Tensor, value: torch.Tensor) -> None:
        """Sets the numbers at `index` [N]; one that is given twice must be given the same value."""
        self._levels[0].index_copy_(0, index, value)
        for nodes, above in zip(self._nodes, self._levels[1:], strict=True):
            index = index // BRANCHES
            above.index_copy_(0, index, nodes.index_select(0, index).sum(1))

    def find(self, place: torch.Tensor) -> torch.Tensor:
        """The index [N] of the number in whose stretch of the running sum `place` [N], from 0 to the total, lies."""
        index, place = torch.zeros_like(place, dtype=torch.int64), place[:, None]
        zero = torch.zeros_like(place)
        for nodes in reversed(self._nodes):
            ends = nodes.index_select(0, index).cumsum(1)
            # A place that rounding puts behind the last stretch belongs to the last that is not empty.
            place = torch.minimum(place, ends[:, -1:].nextafter(zero))
            # Counted, since searchsorted divides more than 200 places among threads, which costs more than the search.
            branch = (ends <= place).sum(1, keepdim=True)
            place = place - torch.cat([zero, ends], 1).gather(1, branch)
            index = branch.squeeze(1).add_(index, alpha=BRANCHES)
        return index

    def rebuild(self, leaves: torch.Tensor) -> None:
        """Sets the first numbers to `leaves` [N], as they were read, and the others to 0."""
        self.leaves.zero_()[: len(leaves)] = leaves
        for nodes, above in zip(self._nodes, self._levels[1:], strict=True):
            sums = nodes.sum(1)
            above[: len(sums)] = sums
