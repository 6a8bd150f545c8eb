"""The state of an agent, gathered from its parts and given back to them."""

from __future__ import annotations

from typing import Any


def states(parts: dict[str, Any]) -> dict[str, Any]:
    """The state of each part, by the part's name; live."""
    return {name: part.state_dict() for name, part in parts.items()}


def load_states(parts: dict[str, Any], state: dict[str, Any]) -> None:
    """Gives each part what `states` had of it."""
    for name, part in parts.items():
        part.load_state_dict(state[name])


def flat_state(parts: dict[str, Any]) -> dict[str, Any]:
    """The states of the parts in one dictionary of tensors, by part.key; live."""
    return {f"{name}.{key}": value for name, state in states(parts).items() for key, value in state.items()}


def load_flat_state(parts: dict[str, Any], state: dict[str, Any]) -> None:
    """Gives each part what `flat_state` had of it."""
    nested: dict[str, dict[str, Any]] = {name: {} for name in parts}
    for name, value in state.items():
        part, _, key = name.partition(".")
        nested[part][key] = value
    load_states(parts, nested)


def existing(**parts: Any) -> dict[str, Any]:
    """The parts that are not None, by name."""
    return {name: part for name, part in parts.items() if part is not None}
