"""Shell completion: what may follow the words typed so far, and the scripts that ask for it."""

import contextlib
from pathlib import Path

from rlcont.cli.commands import COMMANDS, FLAGS, Command
from rlcont.config.fields import KINDS, run_fields
from rlcont.config.names import GROUPS, default_option, option_file, options
from rlcont.core.errors import UserError
from rlcont.core.spelling import nearest
from rlcont.runs.find import LATEST, OUTPUTS

SHELLS = ("bash", "zsh", "fish")


def script(words: list[str]) -> str:
    name = " ".join(words)
    if name not in SHELLS:
        raise UserError(f"--completion {name}: allowed: {', '.join(SHELLS)}{nearest(name, SHELLS)}")
    return Path(__file__).with_suffix(f".{name}").read_text().rstrip()


def candidates(words: list[str]) -> list[str]:
    """All that the last of `words` may become."""
    *before, word = words or [""]
    if before[:1] == ["--completion"]:
        found = list(SHELLS)
    elif before and before[0] in COMMANDS:
        found = _after(COMMANDS[before[0]], before[1:], word)
    else:
        found = [*_after(COMMANDS["train"], before, word), *(() if before else COMMANDS)]
        found += FLAGS if word.startswith("-") else ()
    return sorted({candidate for candidate in found if candidate.startswith(word)})


def _after(command: Command, before: list[str], word: str) -> list[str]:
    """What may stand for `word` after a command and the words `before`."""
    name, is_value, typed = word.partition("=")
    fields = command.fields() if command.fields else []
    if command.folders is None:
        chosen = {key: value for key, _, value in (word.partition("=") for word in before)}
        kept = {group: default_option(group) for group in ("algo", *KINDS)}
        for group in chosen.keys() & kept.keys():
            with contextlib.suppress(UserError):
                kept[group] = chosen[group] if option_file(group, chosen[group]) else kept[group]
        fields = [*fields, *run_fields(kept)]
    if is_value:
        listed = [key.kind.candidates(before) for key in command.keys if key.name == name]
        listed += [field.choices for field in fields if field.key == name]
        listed += [options(name)] if command.folders is None and name in GROUPS else []
        # Of a sweep's list, only the last value is still open.
        done = f"{name}={typed[: typed.rfind(',') + 1]}"
        return [done + value for values in listed for value in values]
    keys = [f"{key.name}=" for key in command.keys]
    keys += [f"{field.key}=" for field in fields if field.key != "env.kwargs"]
    keys += [f"{group}=" for group in GROUPS] if command.folders is None else []
    # Keys grow by one part at a time, as paths do.
    opened = [key[: key.find(".", len(word)) + 1] or key for key in keys if key.startswith(word)]
    return [*opened, *(_runs(word) if command.folders else ())]


def _runs(word: str) -> list[str]:
    """Folders of runs. A run lies three folders below the one that all are made in."""
    base = word.rpartition("/")[0] or str(OUTPUTS)
    patterns = ["*/" * depth + "config.yaml" for depth in range(4)]
    return [LATEST, *(str(path.parent) for pattern in patterns for path in Path(base).glob(pattern))]
