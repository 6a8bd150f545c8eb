"""The hyper-parameters of D4PG."""

import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from rlcont.algos.ddpg.config import DDPGConfig
from rlcont.core.schema import LARGEST, SMALLEST, Count, Number, schema


@schema
class D4PGConfig(DDPGConfig):
    num_atoms: Annotated[Count, Field(ge=2)]
    """Atoms of the value distribution."""
    v_min: Number | None
    """Value of the lowest atom; null: -return_bound of normalised rewards, else found from the returns, and lowered as
    they come near it."""
    v_max: Number | None
    """Value of the highest atom; null: as v_min, upwards."""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Values of the lowest and the highest atom; None where they follow the returns."""
        if self.v_min is not None and self.v_max is not None:
            return self.v_min, self.v_max
        return (-self.return_bound, self.return_bound) if self.normalize_reward and self.return_bound else None

    @model_validator(mode="after")
    def _bounds_make_sense(self) -> Self:
        if (self.v_min is None) != (self.v_max is None):
            raise ValueError("v_min and v_max are given both, or neither (null)")
        if self.bounds is None:
            if self.normalize_reward:
                raise ValueError(
                    "normalize_reward=true changes the unit of values: give return_bound, or v_min and v_max"
                )
            return self
        low, high = self.bounds
        if low >= high:
            raise ValueError(f"v_min={low} must be below v_max={high}")
        apart = (high - low) / (self.num_atoms - 1)
        # Numbers of 32 bits have 24 binary digits.
        finest = max(math.ldexp(1, math.frexp(max(-low, high))[1] - 24), SMALLEST)
        if apart < finest or high - low > LARGEST:
            raise ValueError(
                f"{self.num_atoms} atoms from v_min={low} to v_max={high} are {apart:.2g} apart; numbers of 32 bits "
                f"allow at least {finest:.2g} there, and {LARGEST:g} from the first to the last"
            )
        return self
