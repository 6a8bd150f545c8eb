"""The words of a command line, before any is looked up: folders, key=value, flags, and what people type instead."""

import re
from pathlib import Path
from typing import Any

from rlcont.cli.commands import COMMANDS, FLAGS, TRAIN_FLAGS, Command
from rlcont.config.fields import run_fields, search_fields, sweep_fields
from rlcont.config.foreign import key_hint, ours
from rlcont.config.names import GROUPS, default_option, options
from rlcont.core.errors import UserError
from rlcont.core.spelling import closest, did_you_mean, nearest
from rlcont.core.typed import allow
from rlcont.runs.find import named_folder

FOREIGN_FLAGS = {
    "-i": "rlcont resume RUN_DIR resumes a run, init=RUN_DIR starts from its policy",
    "--trained-agent": "rlcont resume RUN_DIR resumes a run, init=RUN_DIR starts from its policy",
    "--track": "log.wandb=PROJECT copies what every run writes for TensorBoard",
    "--capture-video": "rlcont eval RUN_DIR video=true films a policy",
    "-optimize": "rlcont search KEY=SPACE ... searches for settings",
    "--optimize": "rlcont search KEY=SPACE ... searches for settings",
    "--load-best": "rlcont eval RUN_DIR policy=best plays the best policy",
    "--exp-id": "rlcont eval latest plays the newest run",
}
"""Options of the zoo and of CleanRL, and what does that here."""


def read_words(command: Command, arguments: list[str]) -> tuple[list[Path], dict[str, Any]]:
    """The folders of a command, and its other arguments by name."""
    if command.folders is None:
        return [], _read_overrides(arguments)
    folders, overrides = [], []
    typed: dict[str, str] = {}
    keys = {key.name: key for key in command.keys}
    known = _known(command)
    for word in arguments:
        name, is_option, value = word.partition("=")
        # A folder may have an equals sign in its path, and a value a slash.
        is_folder = not is_option or (name not in known and ("/" in name or Path(word.split("/")[0]).exists()))
        if word.startswith("-") or (not is_folder and not known):
            raise UserError(f"{word}: no such option; {_instead(command, name, value)}")
        if is_folder:
            folders.append(word)
        elif command.fields:
            overrides.append(word)
        elif name not in keys:
            raise UserError(f"{word}: no such key; allowed: {', '.join(keys)}{nearest(name, keys)}")
        elif typed.setdefault(name, value) != value:
            raise UserError(f"{name}={typed[name]} {word}: {name} is typed twice; keep one of them")
    if not command.folders.least <= len(folders) <= command.folders.most:
        given = f"{' '.join(folders)}: " if folders else ""
        wanted, example = command.folders.wanted, command.folders.example
        raise UserError(f"{given}{command.name}: name {wanted}, as in: rlcont {command.name} {example}")
    values: dict[str, Any] = {"overrides": overrides} if command.fields else {}
    for name, key in keys.items():
        text = typed.get(name, key.default)
        try:
            values[name] = None if text is None else key.kind.read(text)
        except ValueError:
            raise UserError(f"{name}={text}: must be {key.field.article}{key.kind.allowed}") from None
    return [named_folder(Path(folder), whole=command.folders.whole) for folder in folders], values


def _known(command: Command) -> set[str]:
    """The keys that a command takes after its folders."""
    return {key.name for key in command.keys} | {field.key for field in (command.fields or list)()}


def _instead(command: Command, name: str, value: str) -> str:
    """What may be typed in place of an option that the command does not have."""
    assert command.folders is not None
    name = name.lstrip("-").replace("-", "_")
    text = f"{command.name} takes {command.folders.wanted}{' and key=value words' if command.fields else ''}"
    if command.keys:
        text = "write " + ", ".join(f"{key.name}={key.example}" for key in command.keys)
    return text + did_you_mean([f"{name}={value or 'VALUE'}"] if name in _known(command) else [])


def _read_overrides(arguments: list[str]) -> dict[str, Any]:
    """Flags and overrides of a command that takes every key of a run."""
    flags = {argument for argument in arguments if argument in TRAIN_FLAGS}
    overrides = [_with_folder(argument) for argument in arguments if argument not in flags]
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
    allow_typed(overrides)
    return {"overrides": overrides, "flags": flags}


def allow_typed(words: list[str]) -> None:
    """Lets the modules that the words name be imported from the working directory."""
    for word in words:
        if word.startswith(("env=", "algo=", "env.wrappers=")):
            for module in re.findall(r"([A-Za-z_][\w.]*):", word):
                allow(module)


def _with_folder(word: str) -> str:
    """from=latest and init=latest with the folder that they stand for now; a sweep's jobs may start later."""
    key, _, value = word.partition("=")
    if key not in ("from", "init"):
        return word
    names = [value] if Path(value).exists() else value.split(",")
    return f"{key}={','.join(name if name in ('', 'null') else str(named_folder(Path(name))) for name in names)}"


def _flag_hint(word: str, after: list[str]) -> str:
    """-M for -m, --seed 3 for seed=3, --multirun=x for --multirun."""
    name, _, value = word.partition("=")
    if name in TRAIN_FLAGS:
        return f"; {name} takes no value"
    if near := nearest(name, FLAGS, 0.75):
        return near
    if name in FOREIGN_FLAGS:
        return f"; {FOREIGN_FLAGS[name]}"
    key = name.lstrip("-").replace("-", "_")
    if key not in _keys():
        return key_hint(key, _keys()) if len(key) > 1 or ours(key) else ""
    given = value or next((other for other in after if "=" not in other and not other.startswith("-")), "VALUE")
    return did_you_mean([f"{key}={given}"])


def _not_key_value(word: str, after: list[str], is_first: bool) -> str:
    """One line for a word without =."""
    if word in COMMANDS:
        return f"{word}: the command comes first, as in: rlcont {word} ..."
    if is_first and word == "sweep":
        return f"{word}: no such command; a sweep is rlcont -m KEY=VALUE,VALUE ..."
    meant = f"--{word}" if f"--{word}" in FLAGS else _meant(word, after)
    if meant and not meant.startswith("-"):
        return f"{word}: must be key=value{did_you_mean([meant])}"
    if is_first:
        hint = did_you_mean([meant]) if meant else nearest(word, COMMANDS)
        return f"{word.strip() or repr(word)}: no such command; allowed: {', '.join(COMMANDS)}{hint}"
    return f"{word.strip() or repr(word)}: must be key=value"


def _meant(word: str, after: list[str]) -> str:
    """key=value for a key and a value apart, for an option without its group, and for a colon."""
    key, colon, value = word.partition(":")
    if colon and key in GROUPS:
        return f"{key}={value}"
    for group in GROUPS:
        if word != "none" and (found := closest(word, options(group), 1.0)):
            return f"{group}={found[0]}"
    is_key = word in _keys() or word.startswith(("noise.", "actors.", "env.kwargs."))
    return f"{word}={after[0].removeprefix('=') if after else 'VALUE'}" if is_key else ""


def _keys() -> list[str]:
    """Groups and keys that can be typed without choosing another algorithm."""
    choices = {group: default_option(group) for group in ("algo", "noise", "actors")}
    fields = [*run_fields(choices), *sweep_fields(), *search_fields()]
    return [*GROUPS, *(field.key for field in fields)]
