"""The options of each group and the contents of their YAML files, without Hydra.

Files are searched for in the folders that RLCONT_CONFIGS lists, then in ./configs, then in rlcont's own folder: the
first file of a name counts. The file of an algorithm `module:Class` is beside the module.
"""

import os
import re
from pathlib import Path
from typing import Any

import yaml

from rlcont.algos.find import yaml_file
from rlcont.core.errors import UserError
from rlcont.core.spelling import nearest

_PACKAGE = Path(__file__).parent.parent
CONFIG_DIR = next(path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir())
VARIABLE = "RLCONT_CONFIGS"
"""The environment variable that lists folders of a user's own YAML files, as PATH lists folders of programs."""
GROUPS = ("algo", "env", "noise", "actors", "tuned", "experiment")


def folders() -> list[Path]:
    """The folders of YAML files, in the order of the search."""
    own = [Path(part).absolute() for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    for folder in own:
        if not folder.is_dir():
            raise UserError(f"{VARIABLE}={folder}: no such folder")
        if (folder / "config.yaml").exists():
            raise UserError(f"{VARIABLE}={folder}: config.yaml is not read there; put its values into an experiment")
        if not any((folder / group).is_dir() for group in GROUPS):
            raise UserError(f"{VARIABLE}={folder}: holds none of the folders {', '.join(GROUPS)}")
    here = Path.cwd() / "configs"  # It may be rlcont's own, or not be meant for rlcont at all.
    is_meant = any((here / group).is_dir() for group in GROUPS) and not (here / "config.yaml").exists()
    return [*own, *([here] if is_meant else []), CONFIG_DIR]


def options(group: str) -> list[str]:
    """The names of a group's YAML files."""
    places = [folder / group for folder in folders()]
    return sorted({str(path.relative_to(place).with_suffix("")) for place in places for path in place.rglob("*.yaml")})


def option_file(group: str, option: str) -> Path | None:
    """The YAML file of an option, None where there is none."""
    beside = yaml_file(option) if group == "algo" else Path(option) if is_path(group, option) else None
    places = [beside] if beside else [folder / group / f"{option}.yaml" for folder in folders()]
    return next((place for place in places if place.is_file()), None)


def is_path(group: str, option: str) -> bool:
    """Whether an option is the path of a file, as in tuned=best.yaml, and not a name."""
    return group in ("tuned", "experiment") and option.endswith(".yaml")


def existing_file(group: str, option: str) -> Path:
    """The YAML file of an option."""
    path = option_file(group, option)
    if path is not None:
        return path
    if group == "algo" and ":" in option:
        expected: Any = yaml_file(option)
        near = nearest(expected.stem, [path.stem for path in expected.parent.glob("*.yaml")])
        raise UserError(f"algo={option}: has no file of values; expected {expected}{near}")
    allowed = options(group)
    raise UserError(f"{group}={option}: allowed: {', '.join(allowed)}{nearest(option, allowed)}")


def summary(group: str, option: str) -> str:
    """The first comment line of an option's file."""
    first = re.search(r"^# (?!@)(.*?)\.?$", _text(existing_file(group, option)), re.MULTILINE)
    return first[1] if first else ""


def file_values(group: str, option: str, begun: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values of an option's file on top of those of the files of its group that it begins from.

    `begun` has the options whose files lead to this one.
    """
    path = existing_file(group, option)
    if option in begun:
        raise UserError(f"{short(path)}: begins from itself; give one of the files another name")
    own = read_yaml(path)
    values: dict[str, Any] = {}
    for default in _bases(own):
        values = merged(values, file_values(group, default, (*begun, option)))
    own.pop("defaults", None)
    return merged(values, own)


def origin(key: str, origins: dict[str, str]) -> str:
    """'FILE: ' where a file gave `key`, what it is part of, or part of it; nothing where it was typed."""
    for name, file in origins.items():
        if f"{name}.".startswith(f"{key}.") or f"{key}.".startswith(f"{name}."):
            return f"{file}: "
    return ""


def merged(values: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` on top of `values`, key by key at every depth; an `auto_noise` of another kind replaces the one below."""
    result = dict(values)
    for key, value in over.items():
        before = values.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            is_new_kind = key == "auto_noise" and value.get("kind", before.get("kind")) != before.get("kind")
            value = value if is_new_kind else merged(before, value)
        result[key] = value
    return result


def complete_noise(noise: Any) -> Any:
    """The values of a noise on top of those of the file that is named as its kind."""
    kind = noise.get("kind") if isinstance(noise, dict) else None
    return merged(file_values("noise", kind), noise) if kind in options("noise") else noise


def option_values(group: str, option: str) -> dict[str, Any]:
    """The values that `group=option` chooses: those of its files; for a noise, the rest from the file of its kind."""
    values = file_values(group, option)
    if group == "noise":
        return complete_noise(values)
    return {**values, "auto_noise": complete_noise(values["auto_noise"])} if "auto_noise" in values else values


def algorithm(option: str) -> str:
    """The algorithm whose hyper-parameters `algo=option` holds: the one of that name, or of the file it begins from."""
    if ":" in option or (_PACKAGE / "algos" / option).is_dir():
        return option
    for base in _bases(read_yaml(existing_file("algo", option))):
        return algorithm(base)
    raise UserError(f"algo={option}: its file must begin from that of an algorithm, as in defaults: [ddpg, _self_]")


def main_values() -> dict[str, Any]:
    values = read_yaml(CONFIG_DIR / "config.yaml")
    values.pop("defaults")
    return values


def default_option(group: str) -> str:
    """The option that config.yaml chooses in a group."""
    defaults = read_yaml(CONFIG_DIR / "config.yaml")["defaults"]
    return next(default[group] for default in defaults if isinstance(default, dict) and group in default)


class _Loader(yaml.SafeLoader):
    """Reads 1e-3 as a number and a date as a text, as Hydra does."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if not tag.endswith("timestamp")]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The contents of a YAML file."""
    try:
        values = yaml.load(_text(path), _Loader) or {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{short(path)}{line}: broken YAML ({error.problem or error.context})") from None
    except yaml.YAMLError as error:
        raise UserError(f"{short(path)}: broken YAML ({str(error).partition(chr(10))[0]})") from None
    if not isinstance(values, dict):
        raise UserError(f"{short(path)}: must hold keys and values, not a {type(values).__name__}")
    return values


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{short(path)}: must be a text in UTF-8 ({error.reason} at byte {error.start})") from None


def short(path: Path) -> str:
    """A file's path for messages: from configs/ on for one of rlcont's own, else the whole path."""
    return str(path.relative_to(CONFIG_DIR.parent) if path.is_relative_to(CONFIG_DIR) else path)


def _bases(values: dict[str, Any]) -> list[str]:
    defaults = values.get("defaults", [])
    return [default for default in defaults if isinstance(default, str) and default != "_self_"]
