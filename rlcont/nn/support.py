"""The atoms of a categorical critic."""

from typing import Any

import torch

from rlcont.core.types import Array


class Support:
    """K evenly spaced atoms between given bounds, or between bounds that follow the returns of the episodes.

    The bounds follow the discounted returns of the episodes as they were played (`RunningReturn`, which goes on across
    a time limit as bootstrapping does). They do not follow the critic, whose errors would feed on themselves. The
    support spans the returns and 0, with `MARGIN` of their range on both sides, since a policy is worth more than its
    noisy episodes. When a return comes nearer to a bound than `SLACK` of the range, the bounds are set anew. The
    support never shrinks. It is proportional to the rewards, whatever their unit.

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
        """Extends the range of returns by discounted returns [N]."""
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
