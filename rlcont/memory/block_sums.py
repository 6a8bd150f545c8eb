"""Sums over blocks of many numbers, for drawing in proportion to them."""

import torch

from rlcont.memory.sizes import BLOCK, num_blocks

SEARCHED_AT_ONCE = 128
"""Places that are searched together: torch divides more than 200 among threads, which costs more than the search."""


class BlockSums:
    """`size` numbers, 0 at first, and the sum of each block of them.

    A draw adds up the blocks' sums, finds the block and adds up its numbers, for many draws at once: for a million
    numbers that is one running sum of 16 thousand, and one of 64 for each draw. They live on the host: on a GPU each of
    these small operations is a launch, and a long running sum adds up in an order that differs from call to call.

    Source: arXiv:1511.05952, appendix B.2.1.
    Differs: two levels instead of a binary tree; sums are added anew, so that no error piles up.

    Shapes:
        leaves [size] float64, to be read.
    """

    def __init__(self, size: int):
        self._blocks = torch.zeros(num_blocks(size), BLOCK, dtype=torch.float64)
        self._sums = self._blocks.sum(1)
        self._ends = torch.zeros(len(self._sums) + 1, dtype=torch.float64)
        """Where each block begins and ends in the running sum, as the last draw found it."""
        self.leaves = self._blocks.view(-1)[:size]

    def set(self, index: torch.Tensor, value: torch.Tensor) -> None:
        """Sets the numbers at `index` [N]; one that is given twice must be given the same value."""
        self.leaves.index_copy_(0, index, value)
        block = index // BLOCK
        self._sums.index_copy_(0, block, self._blocks.index_select(0, block).sum(1))

    def find(self, share: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The index [N] of the number in whose stretch of the running sum `share` [N] of the total lies, 0 to 1, and
        the number's own share of the total [N].
        """
        torch.cumsum(self._sums, 0, out=self._ends[1:])
        total = self._ends[-1]
        place = _before(share * total, total)
        parts = place.split(SEARCHED_AT_ONCE)
        block = torch.cat([torch.searchsorted(self._ends[1:], part, right=True) for part in parts])
        ends = self._blocks.index_select(0, block).cumsum(1)
        place = _before(place - self._ends.index_select(0, block), ends[:, -1])
        index = (ends <= place[:, None]).sum(1).add_(block, alpha=BLOCK)
        return index, self.leaves.index_select(0, index) / total

    def rebuild(self, leaves: torch.Tensor) -> None:
        """Sets the first numbers to `leaves` [N], as they were read, and the others to 0."""
        self.leaves.zero_()[: len(leaves)] = leaves
        self._sums = self._blocks.sum(1)


def _before(place: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """A place that rounding puts behind the last stretch belongs to the last that is not empty."""
    return torch.minimum(place, end.nextafter(torch.zeros_like(end)))
