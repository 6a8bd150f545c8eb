"""The commands: what each takes, what its help says, and what runs it.

Parsing, `--help`, completion and the hints of error messages all read this one table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rlcont.cli import actions
from rlcont.config.fields import Field, resume_fields, search_fields, sweep_fields

RUN = "outputs/HalfCheetah-v4/ddpg/RUN"


class Kind(NamedTuple):
    """What a key of a command may be."""

    allowed: str
    read: Callable[[str], Any]
    """The value of what was typed; raises ValueError where that is not allowed."""
    candidates: Callable[[list[str]], list[str]] = lambda folders: []
    """Values to complete to, given the folders typed before."""


class Key(NamedTuple):
    """A key that only one command has, as in episodes=10."""

    name: str
    kind: Kind
    default: str | None
    """As it would be typed; None: the command decides."""
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
    wanted: str
    """What they are, as an error message says it."""
    example: str


class Command(NamedTuple):
    """One command."""

    name: str
    run: Callable[..., None]
    """Called with the folders, and by name with each key, `overrides` and `flags`, where it takes them."""
    summary: str
    usage: str
    """All that may follow the command's name; a second line where there is a second form."""
    text: str
    folders: Folders | None = None
    keys: tuple[Key, ...] = ()
    fields: Callable[[], list[Field]] | None = None
    """Keys of the configuration that it takes and that its help describes."""
    takes_run_keys: bool = False
    """Whether it takes all keys of a run besides, and no folder."""


def _read_whole_number(least: int, most: float) -> Callable[[str], int]:
    def read(typed: str) -> int:
        if not re.fullmatch("[0-9]{1,18}", typed) or not least <= int(typed) <= most:
            raise ValueError
        return int(typed)

    return read


def _read_number(typed: str) -> float:
    if not math.isfinite(float(typed)):
        raise ValueError
    return float(typed)


def _read_policy(typed: str) -> str:
    return f"step-{typed}" if typed.isdigit() else typed


def _kept_policies(folders: list[str]) -> list[str]:
    kept = [path.stem for folder in folders for path in Path(folder).glob("policies/*.safetensors")]
    return kept or ["last", "best"]


EPISODES = Kind("whole number from 1 to 100000", _read_whole_number(1, 100_000))
SEED = Kind("whole number at least 0", _read_whole_number(0, math.inf))
NUMBER = Kind("number", _read_number)
FLAG = Kind(
    "true or false", lambda typed: ("false", "true").index(typed.lower()) == 1, lambda folders: ["true", "false"]
)
FOLDER = Kind("folder", Path)
POLICY = Kind("last, best, or a step whose policy the run kept", _read_policy, _kept_policies)
CHECKPOINT = Key("checkpoint", POLICY, "last", "last", "Which policy.")


OPTIONS = {
    "-m, --multirun": "a sweep: some keys list several values, as in seed=0,1; its jobs run side by side, as many as "
    "the cores carry",
    "--cfg": "print the resolved configuration and stop",
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
        "train as the key=value words say; may be left out",
        "KEY=VALUE ...",
        "",  # rlcont --help is the help of train.
        fields=sweep_fields,
        takes_run_keys=True,
    ),
    Command(
        "resume",
        actions.resume,
        "go on with a run from its last checkpoint, or with a sweep or a search",
        "RUN_DIR [KEY=VALUE ...]\nSWEEP_DIR [sweep.jobs=N]\nSEARCH_DIR [search.trials=N] [sweep.jobs=N]",
        """\
        Goes on with a run from its newest whole checkpoint, in the same folder and the same curves, to the numbers
        that an uninterrupted run would have had. Of a sweep, it runs the jobs that are missing or failed, goes on with
        those that were interrupted, and leaves the finished ones alone.

        total_steps also goes on with a run that is finished. device, compile, precision and workers compute in another
        way than before, which may change numbers in their last digit. A run with actors=ray goes on with new episodes,
        so its numbers differ from those of an uninterrupted run.""",
        Folders(1, 1, "one run or sweep folder", RUN),
        fields=resume_fields,
    ),
    Command(
        "search",
        actions.search,
        "look for good settings",
        "KEY=VALUE ... KEY=SPACE ... [seed=0,1,2]",
        """\
        Looks for good settings of one algorithm on one environment. Optuna proposes them, each trial is a run per seed,
        and a trial's value is the mean of the last evaluations. Trials that lag behind are cut short. The best settings
        are written as a file for the folder tuned of RLCONT_CONFIGS.

        SPACE is interval(0.9,0.999), tag(log,interval(1e-5,1e-2)), int(interval(1,5)), or a list such as 128,256. Every
        trial is averaged over the seeds listed in seed, which run side by side. sweep.jobs is the number of runs at
        once: by default one per core, and never fewer than the seeds of a trial.

        A search that was interrupted goes on with rlcont resume SEARCH_DIR [search.trials=N].""",
        fields=search_fields,
        takes_run_keys=True,
    ),
    Command(
        "eval",
        actions.evaluate,
        "play a policy that a run kept",
        "RUN_DIR",
        "Plays deterministic episodes with a policy that a run kept, and prints mean and standard deviation of the "
        "return.",
        Folders(1, 1, "one run folder", RUN),
        (
            Key("episodes", EPISODES, None, "10", "Episodes to play; by default 10, or 1 with video or render."),
            CHECKPOINT,
            Key("seed", SEED, None, "0", "Seed of the episodes; by default they are those of the run's evaluations."),
            Key("video", FLAG, "false", "true", "Write each episode as mp4; needs no display."),
            Key("to", FOLDER, None, "DIR", "Folder for the videos; by default RUN_DIR/videos."),
            Key("render", FLAG, "false", "true", "Show each episode in a window."),
        ),
    ),
    Command(
        "runs",
        actions.list_runs,
        "list the runs below a folder",
        "[DIR]",
        "Lists the runs below DIR; without it, below outputs.",
        Folders(0, 1, "one folder", "outputs"),
    ),
    Command(
        "compare",
        actions.compare,
        "put groups of runs side by side",
        "DIR ...",
        """\
        Groups the runs at or below the folders by what differs apart from their seeds, and prints for each group mean,
        95 % bootstrap interval, interquartile mean and median of the last evaluations, the best ones, the mean over
        training, the steps to a threshold, and the time. DIR is a run, a sweep, or any folder above some.""",
        Folders(1, math.inf, "runs, sweeps or folders of them", "outputs/HalfCheetah-v4"),
        (
            Key(
                "to",
                FOLDER,
                None,
                "DIR",
                "Folder for tables, pictures and a TensorBoard folder with one curve and band per group; by default "
                "outputs/comparisons/TIME.",
            ),
            Key(
                "threshold",
                NUMBER,
                None,
                "RETURN",
                "Return to count the steps to; by default nine tenths of the way from the untrained return to the best "
                "group's.",
            ),
        ),
    ),
    Command(
        "export",
        actions.export,
        "write a policy for use without rlcont",
        "RUN_DIR",
        """\
        Writes a policy that a run kept as policy.onnx and policy.pt2 (torch.export), with the normaliser and the
        scaling of actions in it: it maps observations as the environment gives them, flat, to actions that the
        environment takes. Neither file is kept unless it acts as the agent does on 1000 recorded observations.""",
        Folders(1, 1, "one run folder", RUN),
        (CHECKPOINT, Key("to", FOLDER, None, "DIR", "Folder for the files; by default RUN_DIR/export.")),
    ),
)
COMMANDS = {command.name: command for command in _LIST}
