"""The commands: what each takes, what its help lists, and the function that runs it, whose docstring is its help.

Parsing, `--help`, completion and the hints of error messages all read this one table.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rlcont.cli import actions
from rlcont.config.fields import Field, resume_fields, search_fields, sweep_fields

SORTS = ("env", "algo", "state", "step", "return", "age")
RUN = "outputs/HalfCheetah-v4/ddpg/RUN"


class Kind(NamedTuple):
    """What a key of a command may be."""

    allowed: str
    read: Callable[[str], Any]  # The value of what was typed; raises ValueError where that is not allowed.
    candidates: Callable[[list[str]], list[str]] = lambda folders: []
    """Values to complete to, given the folders typed before."""


class Key(NamedTuple):
    """A key that only one command has, as in episodes=10."""

    name: str
    kind: Kind
    default: str | None  # As it would be typed; None: the command decides.
    example: str
    meaning: str

    @property
    def field(self) -> Field:
        """The key as one of a configuration."""
        return Field(self.name, self.kind.allowed, [], self.meaning)


class Folders(NamedTuple):
    """The folders that a command takes."""

    least: int
    most: float
    wanted: str  # What they are, as an error message says it.
    example: str
    whole: bool = False  # Whether `latest` means the whole sweep or search of the newest run.


class Command(NamedTuple):
    name: str
    run: Callable[..., None]
    """Called with the folders, and by name with each key, `overrides` and `flags`, where it takes them."""
    summary: str
    usage: str  # All that may follow the command's name; a second line where there is a second form.
    folders: Folders | None = None  # None: it takes all keys of a run instead.
    keys: tuple[Key, ...] = ()
    fields: Callable[[], list[Field]] | None = None
    """Keys of the configuration that it takes and that its help describes."""


def _whole_number(typed: str, least: int, most: float = math.inf) -> int:
    if not re.fullmatch("[0-9]{1,18}", typed) or not least <= int(typed) <= most:
        raise ValueError
    return int(typed)


def _number(typed: str) -> float:
    if not math.isfinite(float(typed)):
        raise ValueError
    return float(typed)


def _settings(typed: str) -> list[tuple[str, str]]:
    pairs = [word.partition("=") for word in re.split(r",(?=[\w.]+=)", typed)]
    if not all(key and is_setting for key, is_setting, _ in pairs):
        raise ValueError
    return [(key, value) for key, _, value in pairs]


def _kept_policies(folders: list[str]) -> list[str]:
    kept = [path.stem for folder in folders for path in Path(folder).glob("policies/*.safetensors")]
    return kept or ["last", "best"]


EPISODES = Kind("whole number from 1 to 100000", lambda typed: _whole_number(typed, 1, 100_000))
SEED = Kind("whole number at least 0", lambda typed: _whole_number(typed, 0))
NUMBER = Kind("number", _number)
FLAG = Kind("true or false", lambda typed: ("false", "true").index(typed.lower()) == 1, lambda _: ["true", "false"])
FOLDER = Kind("folder", Path)
FILE = Kind("file", Path)
COLUMN = Kind(f"one of {', '.join(SORTS)}", lambda typed: SORTS[SORTS.index(typed)], lambda _: list(SORTS))
SETTINGS = Kind("KEY=VALUE or KEY=VALUE,KEY=VALUE", _settings)
KEPT = Kind(
    "last, best, or a step whose policy the run kept",
    lambda typed: f"step-{typed}" if typed.isdigit() else typed,
    _kept_policies,
)
POLICY = Key("policy", KEPT, "last", "last", "A file in RUN_DIR/policies.")

COMPARISON = "tables, pictures and a TensorBoard folder with one curve and band per group"
THRESHOLD = "nine tenths of the way from the untrained return to the best group's"
OPTIONS = {
    "-m, --multirun": "a sweep: keys list several values, as in seed=0,1; one job per core runs at a time",
    "--cfg": "print the resolved configuration, or with -m the jobs of a sweep, and stop",
    "--completion SHELL": "print the completion script for bash, zsh or fish",
    "--version": "print the version",
    "--help": "print this; with algo=, noise= or actors=NAME also the keys of that choice",
}
TRAIN_FLAGS = ("-m", "--multirun", "--cfg")
FLAGS = tuple(name for names in OPTIONS for name in re.findall(r"-[-a-z]+", names))

_LIST = (
    Command(
        "train",
        actions.train,
        "train one agent, or a sweep with -m; the word may be left out",
        "KEY=VALUE ...",
        fields=sweep_fields,
    ),
    Command(
        "resume",
        actions.resume,
        "resume a run from its last checkpoint, or a sweep, or a search",
        "RUN_DIR [KEY=VALUE ...]\nSWEEP_DIR [sweep.jobs=N]\nSEARCH_DIR [search.trials=N] [sweep.jobs=N]",
        Folders(1, 1, "one folder of a run, sweep or search", RUN, whole=True),
        fields=resume_fields,
    ),
    Command(
        "search",
        actions.search,
        "search for good settings with Optuna",
        "KEY=VALUE ... KEY=SPACE ... [seed=0,1,2]",
        fields=search_fields,
    ),
    Command(
        "eval",
        actions.evaluate,
        "play a policy of a run",
        "RUN_DIR",
        Folders(1, 1, "one run folder", RUN),
        (
            Key("episodes", EPISODES, None, "10", "Episodes to play; by default 10, or 1 with video or render."),
            POLICY,
            Key("seed", SEED, None, "0", "Seed of the episodes; by default they are those of the run's evaluations."),
            Key("video", FLAG, "false", "true", "Write each episode as mp4; needs no display."),
            Key("to", FOLDER, None, "DIR", "Folder for the videos; by default RUN_DIR/videos."),
            Key("csv", FILE, None, "FILE", "File for a table of the episodes: seed, return, steps and values of info."),
            Key("render", FLAG, "false", "true", "Show each episode in a window."),
        ),
    ),
    Command(
        "runs",
        actions.list_runs,
        "list the runs below a folder",
        "[DIR]",
        Folders(0, 1, "one folder", "outputs", whole=True),
        (
            Key("sort", COLUMN, "age", "return", "Order of the runs, by env, algo, state, step, return, or age."),
            Key("where", SETTINGS, None, "algo=ddpg,seed=1", "Only runs with these values, of keys or of state."),
        ),
    ),
    Command(
        "compare",
        actions.compare,
        "compare groups of runs, over their seeds",
        "DIR ...",
        Folders(1, math.inf, "runs, sweeps or folders of them", "outputs/HalfCheetah-v4", whole=True),
        (
            Key("to", FOLDER, None, "DIR", f"Folder for {COMPARISON}; by default comparisons/TIME."),
            Key("threshold", NUMBER, None, "RETURN", f"Return to count the steps to; by default {THRESHOLD}."),
        ),
    ),
    Command(
        "export",
        actions.export,
        "write a policy for use without rlcont",
        "RUN_DIR",
        Folders(1, 1, "one run folder", RUN),
        (POLICY, Key("to", FOLDER, None, "DIR", "Folder for the files; by default RUN_DIR/export.")),
    ),
)
COMMANDS = {command.name: command for command in _LIST}
