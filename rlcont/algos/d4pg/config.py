"""The hyper-parameters of D4PG."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from rlcont.algos.ddpg.config import DDPGConfig
from rlcont.core.schema import Count, Number, schema


@schema
class D4PGConfig(DDPGConfig):
    """Hyper-parameters of D4PG."""

    num_atoms: Annotated[Count, Field(ge=2)]
    """Atoms of the value distribution."""
    v_min: Number | None
    """Value of the lowest atom; null: -return_bound of normalised rewards, else found from the returns, and lowered as
    they come near it."""
    v_max: Number | None
    """Value of the highest atom; null: as v_min, upwards."""

    @model_validator(mode="after")
    def _bounds_make_sense(self) -> D4PGConfig:
        if (self.v_min is None) != (self.v_max is None):
            raise ValueError("v_min and v_max are given both, or neither (null)")
        if self.v_min is None or self.v_max is None:
            if self.normalize_reward and self.return_bound is None:
                raise ValueError(
                    "normalize_reward=true changes the unit of values: give return_bound, or v_min and v_max"
                )
        elif self.v_min >= self.v_max:
            raise ValueError(f"v_min={self.v_min} must be below v_max={self.v_max}")
        return self
