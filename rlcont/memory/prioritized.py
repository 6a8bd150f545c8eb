"""Experience replay that draws transitions with large errors more often."""

from typing import Any, ClassVar

import numpy as np
import torch

from rlcont.core.types import Batch, Histogram, Metrics, Transitions
from rlcont.memory.block_sums import BlockSums
from rlcont.memory.replay import Replay


class PrioritizedReplay(Replay):
    """A ring of the last `capacity` transitions, drawn with probability P(i) = p_i^alpha / sum of all.

    A new transition has the highest priority seen so far, so that each is likely to be seen once. Rows weigh
    (N P(i))^-beta, over the highest weight in the batch; beta goes from its start to 1 in `num_batches` batches.

    Source: arXiv:1511.05952, equation 1, section 3.4 and Algorithm 1; proportional variant.
    Differs: a priority that is not finite counts as 0, so that the memory outlives the update that brought it.
    """

    counters: ClassVar[tuple[str, ...]] = ("num_sampled",)
    unsaved: ClassVar[tuple[str, ...]] = ("sums",)
    eps = 1e-6
    """Added to every priority, so that each row keeps a chance to be drawn."""

    def __init__(self, *arguments: Any, alpha: float, beta: float, num_batches: int):
        super().__init__(*arguments)
        self.alpha = alpha
        self.start_beta = beta
        self.num_batches = num_batches
        self.num_sampled = 0
        self.sums = BlockSums(len(self.rows))
        self.max_priority = torch.ones((), dtype=torch.float64)

    @property
    def beta(self) -> float:
        """The exponent of the next batch's weights."""
        return self.start_beta + (1 - self.start_beta) * min(1.0, self.num_sampled / self.num_batches)

    def add(self, transitions: Transitions) -> None:
        first = self.num_added
        super().add(transitions)
        slot = np.arange(first, self.num_added) % self.capacity
        self.sums.set(slot, (self.max_priority**self.alpha).numpy())

    def sample(self, batch_size: int) -> Batch:
        # One draw from each of batch_size equal stretches of the sum, as the paper's appendix B.2.1 has it.
        within = torch.rand(batch_size, generator=self.generator, dtype=torch.float64).numpy()
        slot, probability = self.sums.find((np.arange(batch_size) + within) / batch_size)
        weight = (len(self) * probability) ** -self.beta
        self.num_sampled += 1
        return self._batch(torch.from_numpy(slot), torch.from_numpy((weight / weight.max()).astype(np.float32)))

    def prioritize(self, batch: Batch, priority: torch.Tensor) -> Metrics:
        priority = priority.cpu()
        raised = priority.numpy().astype(np.float64)
        raised[~np.isfinite(raised)] = 0
        raised += self.eps
        if (highest := raised.max()) > self.max_priority.item():
            self.max_priority = torch.tensor(highest)
        self.sums.set(batch.slot.cpu().numpy(), raised**self.alpha)
        return {
            "priority_mean": priority.mean(),
            "priority_max": priority.max(),
            "weight_mean": batch.weight.mean(),
        }

    def status(self) -> dict[str, float]:
        return super().status() | {"priority_beta": self.beta}

    def distributions(self) -> dict[str, Histogram]:
        """The priorities to the power of alpha, in 50 equal bins."""
        if len(self) == 0:
            return {}
        counts, edges = np.histogram(self.sums.leaves[: len(self)], bins=50)
        return {"priority": Histogram(((edges[1:] + edges[:-1]) / 2).tolist(), counts.tolist())}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"leaves": torch.from_numpy(self.sums.leaves[: len(self)])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({key: value for key, value in state.items() if key != "leaves"})
        self.sums.rebuild(state["leaves"].numpy())

    def _grow(self, num: int) -> None:
        super()._grow(num)
        leaves = self.sums.leaves
        self.sums = BlockSums(num)
        self.sums.rebuild(leaves)
