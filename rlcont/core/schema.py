"""Field types of the configuration dataclasses.

YAML files hold every value; these types say what a value may be, and the string under a field says
what it means. Nothing here has a default.
"""

from typing import Annotated, Any, Literal, dataclass_transform, get_type_hints

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr
from pydantic.dataclasses import dataclass

SMALLEST, LARGEST = 1.2e-38, 3.4e38
"""Sizes of numbers of 32 bits other than 0."""


@dataclass_transform(frozen_default=True)
def schema(cls: type) -> Any:
    """Makes `cls` a frozen, validated dataclass that refuses unknown keys and wrong types.

    The validator is built at the first use, which `--help` never comes to. The annotations are evaluated here and now:
    pydantic would look names up where that first use happens.
    """
    hints = get_type_hints(cls, include_extras=True)
    cls.__annotations__ = {name: hints[name] for name in cls.__annotations__}
    return dataclass(cls, frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False, defer_build=True))


def _integral(value: Any) -> Any:
    """Lets 1e6 stand for 1000000, as people type it; nothing counted here needs more than 63 bits."""
    if isinstance(value, int | float) and abs(value) >= 2**63:
        raise ValueError("must be below 2^63")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _in_float32(value: float) -> float:
    if value and not SMALLEST <= abs(value) <= LARGEST:
        raise ValueError(f"must be 0 or from {SMALLEST} to {LARGEST:g} in size, as numbers of 32 bits are")
    return value


def list_of(items: str, least: int = 0) -> BeforeValidator:
    """Takes lists of `least` items or more; `items` says in a complaint what they are."""

    def as_tuple(value: Any) -> Any:
        if not isinstance(value, list | tuple) or len(value) < least:
            raise ValueError(f"must be a list of {items}")
        return tuple(value)

    return BeforeValidator(as_tuple)


# Strict, so that true is no number and "1" is none either.
Flag = StrictBool
Number = Annotated[StrictFloat, AfterValidator(_in_float32)]
Text = StrictStr
Integer = Annotated[StrictInt, BeforeValidator(_integral)]
Count = Annotated[Integer, Field(ge=1)]
NonNegativeInt = Annotated[Integer, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
PositiveFraction = Annotated[Number, Field(gt=0, le=1)]
Widths = Annotated[tuple[Count, ...], list_of("widths, as in [256,256]", 1)]


@schema
class BodyConfig:
    """One multilayer perceptron."""

    hidden: Widths
    """Units of each hidden layer, first to last."""
    activation: Literal["relu", "tanh", "elu", "gelu", "silu"]
    """Nonlinearity after each hidden layer."""
    layer_norm: Flag
    """Layer normalisation before each nonlinearity."""


@schema
class NetworkConfig(BodyConfig):
    """One multilayer perceptron and its optimiser."""

    residual: Flag
    """Hidden layers that are as wide as their input add it to what they compute."""
    lr: Positive
    """Step size of Adam."""
