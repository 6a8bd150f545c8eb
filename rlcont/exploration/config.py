"""Kinds of exploration noise, and how a scale decays."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rlcont.core.schema import Count, Fraction, NonNegative, Number, Positive, schema


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
    def _can_be_reached(self) -> Self:
        if self.kind == "exponential" and self.final == 0:
            raise ValueError("final=0 is never reached by an exponential decay; use linear or a small number")
        return self

    def factor(self, step: int, total_steps: int) -> float:
        """The factor at environment step `step`, constant once the decay is over."""
        progress = min(step / (self.steps or total_steps), 1.0)
        match self.kind:
            case "linear":
                return 1.0 + progress * (self.final - 1.0)
            case "exponential":
                return self.final**progress
            case "none":
                return 1.0


@schema
class NoNoise:
    kind: Literal["none"]
    """No noise at all."""


@schema
class GaussianConfig:
    kind: Literal["gaussian"]
    """Independent from step to step."""
    sigma: NonNegative
    """Standard deviation, in units of half the action range."""
    decay: DecayConfig
    """How the noise shrinks over the run."""


@schema
class OUConfig:
    """Ornstein-Uhlenbeck noise, correlated in time."""

    kind: Literal["ou"]
    """Correlated from step to step, restarted with every episode."""
    theta: Positive
    """Rate of the pull towards `mu`, per unit of time."""
    sigma: NonNegative
    """Strength of the random push, per square root of a unit of time."""
    mu: Number
    """Where the noise is pulled to, and where it starts an episode."""
    dt: Positive
    """Time that passes in one environment step."""
    decay: DecayConfig
    """How the noise shrinks over the run."""

    @model_validator(mode="after")
    def _settles(self) -> Self:
        if self.theta * self.dt >= 2:
            raise ValueError(f"theta={self.theta} times dt={self.dt} must be below 2, or the noise never settles")
        return self


NoiseConfig = Annotated[NoNoise | GaussianConfig | OUConfig, Field(discriminator="kind")]
