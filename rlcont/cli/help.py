"""What `--help` says, put together from the commands, the YAML files and the dataclasses."""

import inspect
import textwrap
from typing import Any

from rlcont.cli.commands import COMMANDS, OPTIONS, Command
from rlcont.config.fields import KINDS, Field, algorithm_fields, general_fields, option_fields, sweep_fields
from rlcont.config.names import main_values, option_values, options, summary
from rlcont.core.spelling import flat_keys, spelled

WIDTH = 100

INTRODUCTION = """\
rlcont: a laboratory for reinforcement learning with continuous actions

Examples
  rlcont algo=ddpg env=HalfCheetah-v4            train one agent
  rlcont env=Pendulum-v1 seed=1 noise=ou         another environment, seed and noise
  rlcont -m env=Hopper-v4,Walker2d-v4 seed=0,1   a sweep: every combination, side by side
  rlcont experiment=article/ddpg                 a named experiment
  rlcont resume latest                           resume the newest run
  rlcont eval outputs/HalfCheetah-v4/ddpg/RUN    play the policy of a run
"""
GROUP_MEANINGS = {
    "algo": "the algorithm and its hyper-parameters",
    "env": "any registered Gymnasium id with Box actions, module:id included",
    "noise": "exploration noise",
    "actors": "where acting happens: in the training process, or in actors of a Ray cluster",
    "tuned": "settings for the chosen algorithm and environment, chosen automatically",
    "experiment": "a named set of choices",
}


def help_text(words: list[str]) -> str:
    """The help for a command line of which `words` are left without --help."""
    if words and words[0] in COMMANDS and words[0] != "train":
        return _command_help(COMMANDS[words[0]])
    with_keys = tuple(f"{group}=" for group in ("algo", *KINDS))
    chosen = dict(word.split("=", 1) for word in words if word.startswith(with_keys))
    values = flat_keys(main_values())
    summaries = {command.name: command.summary for command in COMMANDS.values()}
    parts = [
        INTRODUCTION,
        _list("Commands: rlcont COMMAND --help says more", summaries),
        _list("Options", OPTIONS),
        _groups(),
        _section("Keys of every run", general_fields(), values),
        _section("Keys of a sweep", sweep_fields(), values),
    ]
    for group, option in chosen.items():
        fields = algorithm_fields(option) if group == "algo" else option_fields(group, option)
        values = flat_keys({group: option_values(group, option)})
        parts.append(_section(f"Keys of {group}={option}", fields, values))
    parts.append("rlcont --help algo=ddpg noise=ou adds the keys of these two; --cfg prints every value.\n")
    return "\n".join(parts)


def _command_help(command: Command) -> str:
    forms = [f"rlcont {command.name} {usage}" for usage in command.usage.splitlines()]
    forms[0] += "".join(f" [{key.name}={key.example}]" for key in command.keys)
    wrapped = [textwrap.fill(form, WIDTH, subsequent_indent=" " * 4, break_on_hyphens=False) for form in forms]
    parts = ["\n".join(wrapped)]
    parts += [textwrap.fill(" ".join(text.split()), WIDTH) for text in str(inspect.getdoc(command.run)).split("\n\n")]
    if command.folders:
        parts.append(
            f"Example: rlcont {command.name} {command.folders.example}\n"
            "latest is the newest run, and the unique beginning of a folder's name is enough"
        )
    if command.keys:
        defaults = {key.name: key.default for key in command.keys if key.default is not None}
        parts.append(_section("Keys", [key.field for key in command.keys], defaults).rstrip())
    if command.fields:
        defaults = {} if command.folders else flat_keys(main_values())
        parts.append(_section("Keys", command.fields(), defaults).rstrip())
    return "\n\n".join(parts) + "\n"


def _list(title: str, meanings: dict[str, str]) -> str:
    indent = max(map(len, meanings)) + 4
    return "\n".join([title, *(_aligned(f"  {name}", text, indent) for name, text in meanings.items()), ""])


def _groups() -> str:
    """Each group with its options, one a line where their files describe them."""
    lines = ["Groups: each chooses a YAML file, of rlcont's own, ./configs or a folder that RLCONT_CONFIGS lists"]
    for group, meaning in GROUP_MEANINGS.items():
        listed = options(group)
        lines += ["", _aligned(f"  {group}=", meaning, 18)]
        if group in ("algo", "experiment", *KINDS):
            lines += [_aligned(f"    {option}", summary(group, option), 18) for option in listed]
        elif group == "env":
            lines.append(textwrap.fill(", ".join(listed), WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 4))
        else:
            lines.append(_aligned("    none", summary(group, "none"), 18))
            pairs = [option for option in listed if option != "none"]
            lines.append(_aligned("    ALGO/ENV", f"{len(pairs)} files, such as {pairs[0]}", 18))
    return "\n".join(lines) + "\n"


def _section(title: str, fields: list[Field], defaults: dict[str, Any]) -> str:
    """Fields with what they may be, their default by key, and what they mean."""
    lines = [title]
    for field in fields:
        default = f"; default {spelled(defaults[field.key])}" if field.key in defaults else ""
        lines.append(_aligned(f"  {field.key}", f"{field.allowed}{default}", 30))
        lines.append(_aligned("", field.meaning, 6))
    return "\n".join(lines) + "\n"


def _aligned(start: str, text: str, indent: int) -> str:
    """`text` in lines that begin at column `indent`, after `start` in the first."""
    start = start.ljust(indent) if len(start) < indent else f"{start} "
    return textwrap.fill(text, WIDTH, initial_indent=start, subsequent_indent=" " * indent) or start.rstrip()
