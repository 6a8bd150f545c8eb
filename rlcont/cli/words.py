"""The words of a command line, before any of them is looked up: flags, key=value, and what people type instead."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from rlcont.config.names import GROUPS, default_option, options
from rlcont.core.errors import UserError
from rlcont.core.spelling import did_you_mean, nearest, nearest_key

COMMANDS = ("train", "resume", "search", "eval", "runs", "compare", "export")
TRAIN_FLAGS = ("-m", "--multirun", "--cfg")
FLAGS = (*TRAIN_FLAGS, "--help", "--version", "--completion")
ROUNDING = ("device", "compile", "precision", "workers")
"""Keys that may change a last digit, and nothing else of what is learned."""
CHANGEABLE = (
    *("total_steps", "eval.every", "eval.save_policies", "log.every", "checkpoint.every", "checkpoint.keep"),
    "actors.address",
    *ROUNDING,
)
"""Keys that `rlcont resume` may change: none says how or from what is learned."""


class EvalWords(NamedTuple):
    """What `rlcont eval` was told."""

    folder: str
    episodes: int
    policy: str
    seed: int | None
    video: bool
    render: bool


def check_train_words(arguments: list[str]) -> tuple[set[str], list[str]]:
    """Flags and overrides of `rlcont train`.

    Raises:
        UserError: a word that is neither.
    """
    flags = {argument for argument in arguments if argument in TRAIN_FLAGS}
    overrides = [argument for argument in arguments if argument not in flags]
    for place, word in enumerate(overrides):
        after = [other for other in overrides[place + 1 :] if other != "="]
        if word.endswith("=") and after and "=" not in after[0]:
            raise UserError(f"{word} {after[0]}: write it without a space, {word}{after[0]}")
        if word.startswith("-"):
            raise UserError(f"{word}: no such option; allowed: {', '.join(FLAGS)}{_flag_hint(word, after)}")
        if "=" not in word and not word.startswith("~"):
            raise UserError(_not_key_value(word, after, place == 0 and not flags))
        if word.startswith("="):
            raise UserError(f"{word}: no key before the =; write key=value without spaces")
    return flags, overrides


def check_resume_words(arguments: list[str]) -> tuple[str, list[str]]:
    """The folder of a run or a sweep, and the overrides, of `rlcont resume`.

    Raises:
        UserError: no folder, or something that is neither.
    """
    for word in arguments:
        if word.startswith("-"):
            raise UserError(f"{word}: no such option; resume takes a run folder and key=value words")
    folders = [word for word in arguments if "=" not in word]
    if len(folders) != 1:
        given = f"{' '.join(folders)}: " if folders else ""
        raise UserError(
            f"{given}resume: name one run or sweep folder, as in: rlcont resume outputs/HalfCheetah-v4/ddpg/RUN"
        )
    return folders[0], [word for word in arguments if "=" in word]


def check_eval_words(arguments: list[str]) -> EvalWords:
    """What `rlcont eval` was told.

    Raises:
        UserError: a word that it does not know, a value that makes no sense, or no folder.
    """
    values = {"episodes": "", "checkpoint": "last", "seed": "", "video": "false", "render": "false"}
    typed: dict[str, str] = {}
    folders = []
    for word in arguments:
        key, is_option, value = word.partition("=")
        if word.startswith("-"):
            name = key.lstrip("-")
            hint = did_you_mean([f"{name}={value or 'VALUE'}"] if name in values else [])
            raise UserError(f"{word}: no such option; write episodes=10, checkpoint=last, seed=0, video=true{hint}")
        if not is_option:
            folders.append(word)
        elif key not in values:
            raise UserError(f"{word}: no such key; allowed: {', '.join(values)}{nearest(key, values)}")
        elif typed.setdefault(key, value) != value:
            raise UserError(f"{key}={typed[key]} {word}: {key} is typed twice; keep one of them")
    if len(folders) != 1:
        given = f"{' '.join(folders)}: " if folders else ""
        raise UserError(f"{given}eval: name one run folder, as in: rlcont eval outputs/HalfCheetah-v4/ddpg/RUN")
    values |= typed
    seed = _whole_number("seed", values["seed"], 0) if "seed" in typed else None
    video, render = (_flag(key, values[key]) for key in ("video", "render"))
    if video and render:
        raise UserError("video=true render=true: one of them; a window or files")
    # Drawing takes far longer than playing.
    episodes = values["episodes"] if "episodes" in typed else "1" if video or render else "10"
    return EvalWords(
        folders[0], _whole_number("episodes", episodes, 1), _policy_name(values["checkpoint"]), seed, video, render
    )


def check_export_words(arguments: list[str]) -> tuple[str, str, str]:
    """The run folder, the policy, and where to, of `rlcont export`; the last is empty where nothing was said.

    Raises:
        UserError: a word that it does not know, or no folder.
    """
    values = {"checkpoint": "last", "to": ""}
    folders = []
    for word in arguments:
        key, is_option, value = word.partition("=")
        if word.startswith("-"):
            raise UserError(f"{word}: no such option; write checkpoint=last, to=DIR")
        if not is_option:
            folders.append(word)
        elif key not in values:
            raise UserError(f"{word}: no such key; allowed: {', '.join(values)}{nearest(key, values)}")
        else:
            values[key] = value
    if len(folders) != 1:
        given = f"{' '.join(folders)}: " if folders else ""
        raise UserError(f"{given}export: name one run folder, as in: rlcont export outputs/HalfCheetah-v4/ddpg/RUN")
    return folders[0], _policy_name(values["checkpoint"]), values["to"]


class CompareWords(NamedTuple):
    """What `rlcont compare` was told."""

    places: list[str]
    to: str
    threshold: float | None


def check_compare_words(arguments: list[str]) -> CompareWords:
    """What `rlcont compare` was told; `to` is empty where nothing was said.

    Raises:
        UserError: a word that it does not know, a value that makes no sense, or no folder.
    """
    values = {"to": "", "threshold": ""}
    typed: dict[str, str] = {}
    places = []
    for word in arguments:
        key, is_option, value = word.partition("=")
        if word.startswith("-"):
            raise UserError(f"{word}: no such option; write to=DIR, threshold=RETURN")
        if not is_option or "/" in key:
            places.append(word)
        elif key not in values:
            raise UserError(f"{word}: no such key; allowed: {', '.join(values)}{nearest(key, values)}")
        elif typed.setdefault(key, value) != value:
            raise UserError(f"{key}={typed[key]} {word}: {key} is typed twice; keep one of them")
    if not places:
        raise UserError("compare: name runs, sweeps or folders of them, as in: rlcont compare outputs/HalfCheetah-v4")
    values |= typed
    return CompareWords(
        places, values["to"], _number("threshold", values["threshold"]) if "threshold" in typed else None
    )


def _flag(key: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise UserError(f"{key}={value}: must be true or false")
    return value.lower() == "true"


def _policy_name(typed: str) -> str:
    """A number stands for the policy of that step."""
    return f"step-{typed}" if typed.isdigit() else typed


def _number(key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{key}={value}: must be a number")
    return number


def _whole_number(key: str, value: str, minimum: int) -> int:
    if not re.fullmatch("[0-9]{1,6}" if key == "episodes" else "[0-9]{1,18}", value) or int(value) < minimum:
        raise UserError(f"{key}={value}: must be a whole number at least {minimum}")
    return int(value)


def _flag_hint(word: str, after: list[str]) -> str:
    """-M for -m, --seed 3 for seed=3, --multirun=x for --multirun."""
    name, _, value = word.partition("=")
    if name in TRAIN_FLAGS:
        return f"; {name} takes no value"
    flag = next((flag for flag in FLAGS if flag == name.lower()), "")
    if flag or nearest(name, FLAGS, 0.75):
        return did_you_mean([flag]) if flag else nearest(name, FLAGS, 0.75)
    key = name.lstrip("-").replace("-", "_")
    if key not in _keys():
        return nearest_key(key, _keys()) if len(key) > 1 else ""
    given = value or next((other for other in after if "=" not in other and not other.startswith("-")), "VALUE")
    return did_you_mean([f"{key}={given}"])


def _not_key_value(word: str, after: list[str], is_first: bool) -> str:
    """One line for a word without =."""
    if word in COMMANDS:
        return f"{word}: the command comes first, as in: rlcont {word} ..."
    meant = _meant(word, after)
    if meant:
        return f"{word}: must be key=value{did_you_mean([meant])}"
    if is_first:
        return f"{word.strip() or repr(word)}: no such command; allowed: {', '.join(COMMANDS)}{nearest(word, COMMANDS)}"
    return f"{word.strip() or repr(word)}: must be key=value"


def _meant(word: str, after: list[str]) -> str:
    """key=value for a key and a value apart, for an option without its group, and for a colon."""
    key, colon, value = word.partition(":")
    if colon and key in GROUPS:
        return f"{key}={value}"
    for group in GROUPS:
        by_lower = {option.lower(): option for option in options(group)}
        if word.lower() in by_lower and word != "none":
            return f"{group}={by_lower[word.lower()]}"
    is_key = word in _keys() or word.startswith(("noise.", "actors.", "env.kwargs."))
    return f"{word}={after[0].removeprefix('=') if after else 'VALUE'}" if is_key else ""


def _keys() -> list[str]:
    """Groups and keys that can be typed without choosing another algorithm."""
    from rlcont.config.fields import algorithm_fields, general_fields, search_fields, sweep_fields

    fields = [*general_fields(), *sweep_fields(), *search_fields(), *algorithm_fields(default_option("algo"))]
    return [*GROUPS, *(field.key for field in fields)]
