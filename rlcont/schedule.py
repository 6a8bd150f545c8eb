"""A factor that shrinks from 1 as training goes on."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from rlcont.schema import Count, Fraction, schema


@schema
class DecayConfig:
    """How a scale shrinks from its start value."""

    kind: Literal["none", "linear", "exponential"]
    """Course of the factor from 1 to `final`; none keeps it at 1."""
    final: Fraction
    """Factor left at the end."""
    steps: Count | None
    """Environment steps the decay takes; null: the whole run."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> DecayConfig:
        if self.kind == "exponential" and self.final == 0:
            raise ValueError("final=0 is never reached by an exponential decay; use linear or a small number")
        return self


def decay_factor(config: DecayConfig, step: int, total_steps: int) -> float:
    """The factor at environment step `step`, constant once the decay is over."""
    progress = min(step / (config.steps or total_steps), 1.0)
    match config.kind:
        case "linear":
            return 1.0 + progress * (config.final - 1.0)
        case "exponential":
            return config.final**progress
        case "none":
            return 1.0
