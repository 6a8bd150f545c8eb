"""What is said of each key is what pydantic makes of its type."""

import dataclasses
from typing import Annotated, Any, get_args, get_type_hints

import pytest
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from rlcont.algos.find import config_class
from rlcont.config.actors import InlineActors, RayActors
from rlcont.config.compose import make_plan
from rlcont.config.fields import algorithm_fields, general_fields, kind_fields
from rlcont.config.names import algorithm, options
from rlcont.config.run import RunConfig
from rlcont.core.errors import UserError
from rlcont.exploration.config import GaussianConfig, NoNoise, OUConfig


def pydantic_fields(cls: Any, prefix: str) -> dict[str, FieldInfo]:
    """Every leaf of a dataclass by its dotted key, as pydantic sees it.

    It forgets what a parent says of a field, so the parents are asked first.
    """
    found = {}
    own = [getattr(parent, "__pydantic_fields__", {}) for parent in cls.__mro__]
    hints = get_type_hints(cls)
    for name in cls.__pydantic_fields__:
        field = [fields[name] for fields in own if name in fields][-1]
        if dataclasses.is_dataclass(hints[name]):
            found |= pydantic_fields(hints[name], f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = field
    return found


def expectations() -> dict[str, tuple[Any, FieldInfo]]:
    cases = {}
    for algo in options("algo"):
        theirs = pydantic_fields(config_class(algorithm(algo)), "algo.")
        ours = {field.key: field for field in algorithm_fields(algo) if "auto_noise" not in field.key}
        assert list(ours) == list(theirs)
        cases |= {f"{algo}: {key}": (ours[key], theirs[key]) for key in ours}
    for cls in (NoNoise, GaussianConfig, OUConfig, InlineActors, RayActors):
        group = "actors" if cls in (InlineActors, RayActors) else "noise"
        (kind,) = get_args(cls.__pydantic_fields__["kind"].annotation)
        theirs = pydantic_fields(cls, f"{group}.")
        ours = {field.key: field for field in kind_fields(group, kind)}
        assert list(ours) == list(theirs)
        cases |= {f"{kind}: {key}": (ours[key], theirs[key]) for key in ours if key != f"{group}.kind"}
    theirs = pydantic_fields(RunConfig, "")
    ours = {field.key: field for field in general_fields()}
    assert set(theirs) - set(ours) == {"algo_name", "algorithm", "algo", "noise", "actors", "env.id"}
    return cases | {key: (ours[key], theirs[key]) for key in ours}


CASES = expectations()


@pytest.mark.parametrize("key", CASES)
def test_meaning_bounds_and_choices_are_pydantics(key):
    ours, theirs = CASES[key]
    assert ours.meaning.endswith(".")
    adapter = TypeAdapter(Annotated[theirs.annotation, *theirs.metadata, "Annotated needs one"])
    described = adapter.json_schema()
    options_ = described.get("anyOf", [described])
    assert (", or null" in ours.allowed) == any(option.get("type") == "null" for option in options_)
    assert {option["const"] for option in options_ if "const" in option} <= set(ours.choices)
    of_value = options_[0]
    for name, phrases in {
        "minimum": ("at least {}", "from {} to"),
        "maximum": ("at most {}", "to {}"),
        "exclusiveMinimum": ("above {}",),
    }.items():
        if name in of_value:
            assert any(phrase.format(of_value[name]).removesuffix(".0") in ours.allowed for phrase in phrases)
    words = {"integer": "whole number", "number": "number", "boolean": "true or false", "array": "list, each item a"}
    if "enum" in of_value:
        assert [choice for choice in ours.choices if choice != "null"] == of_value["enum"]
    elif of_value["type"] in words:
        # What auto stands for is put in its place before pydantic looks.
        assert ours.allowed.removeprefix("auto or a ").startswith(words[of_value["type"]])


def test_annotations_are_of_a_kind_that_can_be_described():
    assert all(ours.allowed != "any value" for ours, _ in CASES.values())


@pytest.mark.parametrize("word", ["algo.v_min=-1e39", "algo.critic.lr=1e-50", "noise.mu=1e300", "algo.v_max=-2e-39"])
def test_numbers_that_32_bits_cannot_hold_are_refused(word):
    noise = ["noise=ou"] if word.startswith("noise") else []
    with pytest.raises(UserError, match=rf"{word.partition('=')[0]}=.*: must be 0 or from 1.2e-38 to 3.4e\+38 in size"):
        make_plan(["algo=d4pg", *noise, word])
