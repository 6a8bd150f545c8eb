"""The names that configs/ offers and what its files say, without Hydra: for help, completion and the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rlcont.errors import UserError

_PACKAGE = Path(__file__).parent
CONFIG_DIR = next(path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir())
GROUPS = ("algo", "env", "noise", "actors", "tuned", "experiment")


def options(group: str) -> list[str]:
    """The names of a group's YAML files."""
    folder = CONFIG_DIR / group
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))


def summary(group: str, option: str) -> str:
    """The first comment line of an option's file."""
    for line in (CONFIG_DIR / group / f"{option}.yaml").read_text().splitlines():
        if line.startswith("# ") and not line.startswith("# @"):
            return line.removeprefix("# ").removesuffix(".")
    return ""


def file_values(path: str) -> dict[str, Any]:
    """The values of configs/`path`.yaml on top of those of the files of its folder that it begins from."""
    own = _read(path)
    values: dict[str, Any] = {}
    for default in own.pop("defaults", []):
        if isinstance(default, str) and default != "_self_":
            values |= file_values(f"{path.rpartition('/')[0]}/{default}")
    return values | own


def _read(path: str) -> dict[str, Any]:
    import yaml

    try:
        return yaml.safe_load((CONFIG_DIR / f"{path}.yaml").read_text()) or {}
    except yaml.MarkedYAMLError as error:
        raise broken_yaml(CONFIG_DIR / f"{path}.yaml", error) from None


def broken_yaml(path: Path, error: Any) -> UserError:
    """What yaml.MarkedYAMLError says about a file of configs/, as one line."""
    line = (error.problem_mark or error.context_mark).line + 1
    return UserError(f"{short(path)}, line {line}: broken YAML ({error.problem or error.context})")


def short(path: Path) -> str:
    """A file of configs/ as the documentation names it."""
    return str(path.relative_to(CONFIG_DIR.parent))


def default_option(group: str) -> str:
    """What config.yaml chooses in a group when nothing is typed."""
    defaults = _read("config")["defaults"]
    return next(default[group] for default in defaults if isinstance(default, dict) and group in default)


def flat_keys(container: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in container.items():
        if isinstance(value, dict) and value:
            flat |= flat_keys(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def shown(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return f"[{','.join(shown(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{shown(item)}' for key, item in value.items())}}}"
    return "null" if value is None else str(value).lower()


def nearest(name: str, allowed: Iterable[str], cutoff: float = 0.5) -> str:
    """'; did you mean …?' for the closest allowed name, or nothing."""
    return did_you_mean(close(name, allowed, cutoff))


def nearest_key(key: str, known: Iterable[str]) -> str:
    """Like `nearest` for a dotted key: all keys that end like `key`, or the closest, last part against last part."""
    leaves: dict[str, list[str]] = {}
    for name in known:
        leaves.setdefault(name.rpartition(".")[2], []).append(name)
    leaf = key.rpartition(".")[2].lower()
    if leaf in leaves:
        return did_you_mean(leaves[leaf])
    whole = close(key, [name for names in leaves.values() for name in names], 0.7)
    return did_you_mean(whole or leaves.get("".join(close(leaf, leaves, 0.6)), []))


def close(name: str, allowed: Iterable[str], cutoff: float, most: int = 1) -> list[str]:
    """The closest allowed names, whatever their case; none if none is close."""
    by_lower = {option.lower(): option for option in allowed}
    return [by_lower[near] for near in difflib.get_close_matches(name.lower(), by_lower, most, cutoff)]


def did_you_mean(names: list[str]) -> str:
    """The end of a message that suggests `names`."""
    return f"; did you mean {' or '.join(names)}?" if names else ""
