"""The overrides of a command line: parsed, and checked against the keys of the chosen files."""

import os
import re
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rlcont.algos.find import config_class
from rlcont.config.fields import KINDS, class_fields, kinds_with
from rlcont.config.foreign import key_hint
from rlcont.config.names import GROUPS, algorithm, file_values, is_path, option_file, options
from rlcont.config.run import BY_ALGORITHM
from rlcont.core.errors import UserError
from rlcont.core.spelling import did_you_mean, flat_keys, nearest, spelled

PATHS = ("output", "init", "from")
"""Keys whose value is a path."""
SEVERAL = re.compile(r"\s[\w.]+=")
"""Says that a word is several, quoted as one."""


def line_of(override: Override) -> str:
    """An override as it was typed."""
    return override.input_line or ""


def parse(overrides: list[str], loader: ConfigLoader | None = None) -> list[Override]:
    """Parses each override alone, so that an error names it; refuses a key that is typed with two values."""
    parser = OverridesParser.create(loader)
    parsed: dict[str, Override] = {}
    for override in overrides:
        override = re.sub(r"^\+{1,2}(?=env\.kwargs\.)", "", override)  # The + that Hydra's own users type.
        key, _, value = override.partition("=")
        if not re.fullmatch(r"[~+]{0,2}\w[\w-]*([./@][\w-]+)*", key):
            joined = re.sub(r"\s*=\s*", "=", override, count=1)
            hint = did_you_mean([joined] if joined != override else [])
            raise UserError(f"{override}: must be key=value, with a key such as seed or algo.actor.lr{hint}")
        if value.startswith("="):
            raise UserError(f"{override}: one = too many; did you mean {key}={value.lstrip('=')}?")
        try:
            (one,) = _parsed(parser, override)
        except HydraException as error:
            if unknown := re.search(r"Unknown function '(\w+)'", str(error)):
                raise UserError(
                    f"{key}={value}: no function {unknown[1]}; allowed: interval(LOW,HIGH), "
                    "tag(log,interval(LOW,HIGH)), range(START,STOP,STEP), choice(A,B), glob(*PATTERN*)"
                ) from None
            if SEVERAL.search(value):
                raise UserError(f"{key}={value}: one word for several; drop the quotes around them") from None
            if value.startswith("~"):
                meant = f"{key}={os.path.expanduser(value)}"
                raise UserError(f"{key}={value}: the shell leaves this ~ as it is; did you mean {meant}?") from None
            raise UserError(
                f"{key}={value}: cannot be read; quotes and brackets must close, no value of a list may be missing, "
                f"and a value with special characters takes quotes of its own, as in '{key}=\"VALUE\"'"
            ) from None
        before = parsed.setdefault(one.key_or_group, one)
        if line_of(before) != line_of(one):
            raise UserError(f"{line_of(before)} {line_of(one)}: {one.key_or_group} is typed twice; keep one of them")
    return list(parsed.values())


def _parsed(parser: OverridesParser, override: str) -> list[Override]:
    """An override as Hydra reads it. A path that Hydra's grammar has no letters for, such as müll or a=b, is taken as
    it is.
    """
    try:
        return parser.parse_overrides([override])
    except HydraException:
        key, _, value = override.partition("=")
        seems_several = key == "output" and SEVERAL.search(value)
        if key not in PATHS or seems_several or value[:1] in ("", '"', "'", "~") or "\\" in value:
            raise
        return parser.parse_overrides([f"{key}='{value.replace(chr(39), chr(92) + chr(39))}'"])


def parse_one_run(overrides: list[str]) -> list[Override]:
    """Parses overrides; refuses those that no single run can have, whatever their keys."""
    parsed = parse(overrides)
    for override in parsed:
        line, key = line_of(override), override.key_or_group
        if override.is_hydra_override():
            raise UserError(f"{line}: Hydra's own settings count in sweeps only; add -m")
        if override.is_sweep_override():
            raise UserError(f"{line}: several values make a sweep; add -m{_one_value(line)}")
        if override.is_delete() and (key not in ("tuned", "experiment") or override.value() is not None):
            raise UserError(f"{line}: only tuned and experiment can be taken away; to change {key}, type {key}=VALUE")
        if override.value() == "":
            raise UserError(f"{line}: must be key=value, with a value")
    return parsed


def _one_value(line: str) -> str:
    """What may have been meant by 3,000 and by a list without brackets."""
    key, _, value = line.partition("=")
    if key.endswith((".hidden", ".info", ".wrappers")):
        return did_you_mean([f"{key}=[{value}]"])
    return did_you_mean([f"{key}={value.replace(',', '')}"] if re.fullmatch(r"\d{1,3}(,\d{3})+", value) else [])


def check_option(override: Override, algo: str) -> None:
    """Refuses an option that its group does not have; the hint for `tuned` prefers files of `algo`."""
    group, value = override.key_or_group, override.value()
    if override.is_delete():
        return None
    _refuse_plus(override)
    allowed = options(group)
    if isinstance(value, str) and is_path(group, value):
        if option_file(group, value) is None:
            raise UserError(f"{group}={value}: no such file")
        return None
    if override.package is not None:
        raise UserError(f"{line_of(override)}: no such key; did you mean {group}={spelled(value)}?")
    if group == "algo" and isinstance(value, str) and (value in allowed or ":" in value):
        file_values(group, value)
        config_class(algorithm(value))
        return None
    if value in allowed:
        return None
    if group == "env" and isinstance(value, str):
        from rlcont.envs.door import find_env

        return find_env(value)
    listed = "the id of a Gymnasium environment" if group == "env" else ", ".join(allowed)
    if group == "algo":
        listed += ", or one of your own as algo=MODULE:CLASS"
    if group == "tuned":
        listed = "none, ALGO/ENV of rlcont's own files or of ./configs, or PATH.yaml"
        allowed = [option for option in allowed if option.startswith(f"{algo}/")] or allowed
    raise UserError(f"{group}={spelled(value)}: allowed: {listed}{nearest(str(value), allowed)}")


def check_key(override: Override, config: DictConfig, choices: dict[str, str | None]) -> None:
    """Refuses a key that is not in `config`, the values of the chosen files, or that has no effect with them."""
    line, key = line_of(override), override.key_or_group
    if key.startswith("env.kwargs."):
        return
    if key in ("env.id", "noise.kind", "actors.kind"):
        group = key.partition(".")[0]
        raise UserError(f"{line}: choose it with {group}={spelled(override.value())}")
    if key == "env.kwargs":
        raise UserError(f"{line}: name the argument, as in env.kwargs.NAME=VALUE")
    if key.startswith("algo.auto_noise") and choices["noise"] != "auto":
        raise UserError(f"{line}: counts only with noise=auto")
    for target, (name, _) in BY_ALGORITHM.items():
        if key == f"algo.{name}":
            raise UserError(f"{line}: is what {target}=auto stands for; type {target}={spelled(override.value())}")
    for typed in flat_keys({key: override.value()}):
        try:
            node = OmegaConf.select(config, typed, default=override)
        except OmegaConfBaseException:  # It reaches into a list.
            node = override
        if node is override or override.package is not None:
            raise UserError(f"{line}: {_unknown_key(typed, line, config, choices)}")
        if isinstance(node, DictConfig):
            raise UserError(
                f"{line}: stands for several keys; set {' or '.join(f'{typed}.{name!s}=VALUE' for name in node)}"
            )
    _refuse_plus(override)


def check_decay(values: list[Override], noise: dict[str, Any]) -> None:
    """Refuses settings of a decay whose kind is none."""
    for override in values:
        typed = flat_keys({override.key_or_group.removeprefix("algo.auto_"): override.value()})
        if {"noise.decay.final", "noise.decay.steps"} & typed.keys() and noise["decay"]["kind"] == "none":
            kind = f"{override.key_or_group.partition('noise')[0]}noise.decay.kind"
            raise UserError(f"{line_of(override)}: nothing decays; add {kind}=linear or exponential")


def _unknown_key(key: str, line: str, config: DictConfig, choices: dict[str, str | None]) -> str:
    """Why a key does not exist: it belongs to another noise or other actors, or to nothing."""
    group, _, name = key.partition(".")
    algo = str(choices["algo"])
    if key in (field.key for field in class_fields(algorithm(algo))):
        return f"must be given in the YAML file of algo={algo} before it can be typed"
    kinds = kinds_with(group, key) if group in KINDS else []
    if not kinds:
        declared: Any = OmegaConf.to_container(config, resolve=False)
        near = key_hint(key, [*flat_keys(declared), *GROUPS])
        return f"no such key{near or f'; rlcont --help algo={algo} lists them'}"
    choice = choices[group]
    if group == "noise" and choice == "auto":
        return f"noise=auto takes its values from the algorithm's settings; choose one, as in noise={kinds[0]} {line}"
    return f"{group}={choice} has no {name}{did_you_mean([f'{group}={kind}' for kind in kinds])}"


def _refuse_plus(override: Override) -> None:
    """Refuses Hydra's + and ++, which add keys: every key is in a YAML file."""
    if override.is_add() or override.is_force_add():
        line = line_of(override)
        raise UserError(f"{line}: no + is needed; write {line.lstrip('+')}")
