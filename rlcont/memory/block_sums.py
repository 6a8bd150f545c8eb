"""Sums over blocks of many numbers, for drawing in proportion to them."""

import numpy as np
import torch

from rlcont.core.types import Array
from rlcont.memory.sizes import BLOCK, num_blocks


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

    # Small operations take numpy half of torch's time, and running sums of many take it three times as long.

    def __init__(self, size: int):
        self._blocks = np.zeros((num_blocks(size), BLOCK))
        self._sums = np.zeros(len(self._blocks))
        self._ends = np.zeros(len(self._sums) + 1)
        """Where each block begins and ends in the running sum, as the last draw found it."""
        self.leaves = self._blocks.reshape(-1)[:size]

    def set(self, index: Array, value: Array) -> None:
        """Sets the numbers at `index` [N] to `value`, [N] or one; of an index given twice the last counts."""
        self._blocks.put(index, value)
        block = index // BLOCK
        self._sums[block] = _sums(self._blocks.take(block, axis=0))

    def find(self, share: Array) -> tuple[Array, Array]:
        """The index [N] of the number in whose stretch of the running sum `share` [N] of the total lies, 0 to 1, and
        the number's own share of the total [N].
        """
        torch.cumsum(torch.from_numpy(self._sums), 0, out=torch.from_numpy(self._ends[1:]))
        total = self._ends[-1]
        place = _before(share * total, total)
        block = self._ends[1:].searchsorted(place, side="right")
        ends = torch.from_numpy(self._blocks.take(block, axis=0)).cumsum(1).numpy()
        place = _before(place - self._ends.take(block), ends[:, -1])
        index = (ends > place[:, None]).argmax(axis=1) + block * BLOCK
        return index, self._blocks.take(index) / total

    def rebuild(self, leaves: Array) -> None:
        """Sets the first numbers to `leaves` [N], as they were read, and the others to 0."""
        self.leaves[:] = 0
        self.leaves[: len(leaves)] = leaves
        self._sums = _sums(self._blocks)


def _sums(blocks: Array) -> Array:
    return torch.from_numpy(blocks).sum(1).numpy()


def _before(place: Array, end: Array) -> Array:
    """A place that rounding puts behind the last stretch belongs to the last that is not empty."""
    return np.minimum(place, np.nextafter(end, 0))
