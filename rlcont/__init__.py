"""rlcont: a laboratory for reinforcement learning with continuous actions.

    run = rlcont.train("algo=ddpg", "env=Pendulum-v1")
    policy = rlcont.load(run)
    action = policy.act(obs)

A run is the path of its folder. A mistake is a `rlcont.UserError`, whose text is the line that the command line would
print.
"""

from __future__ import annotations

TYPE_CHECKING = False  # Each import here would come before the console script hears Ctrl-C.
if TYPE_CHECKING:
    from pathlib import Path

    from rlcont.core.errors import UserError
    from rlcont.report.policy import TrainedPolicy

__version__ = "0.2.0"
__all__ = ["UserError", "evaluations", "load", "resume", "train"]


def train(*overrides: str) -> Path:
    """Trains one agent, as `rlcont KEY=VALUE ...` does, and returns its run's folder."""
    from rlcont.cli.actions import train_one
    from rlcont.cli.commands import COMMANDS
    from rlcont.cli.words import read_words
    from rlcont.core.errors import UserError
    from rlcont.core.process import LastingOutput

    _check_words(overrides)
    with LastingOutput():
        words = read_words(COMMANDS["train"], list(overrides))[1]
        for flag in words["flags"]:
            raise UserError(f"{flag}: counts only on the command line")
        return train_one(words["overrides"])


def resume(run: str | Path, *overrides: str) -> Path:
    """Trains a run on, as `rlcont resume RUN_DIR KEY=VALUE ...` does, and returns its folder. A finished one stays as
    it is, unless `overrides` give it more steps.
    """
    from pathlib import Path

    from rlcont.cli.actions import resume_one
    from rlcont.core.process import LastingOutput
    from rlcont.runs.find import named_folder

    _check_words(overrides)
    with LastingOutput():
        folder = named_folder(Path(run))
        resume_one(folder, list(overrides))
        return folder


def _check_words(overrides: tuple[str, ...]) -> None:
    """Refuses what is no key=value of a run."""
    from rlcont.cli.commands import COMMANDS
    from rlcont.core.errors import UserError

    for word in overrides:
        if not isinstance(word, str):
            raise UserError(f"{word!r}: must be a text, as in rlcont.train('env=Pendulum-v1', 'seed=1')")
        if word in COMMANDS:
            raise UserError(f"{word}: counts only on the command line, as in: rlcont {word} ...")


def load(run: str | Path, policy: str | int = "last") -> TrainedPolicy:
    """A policy of a run: `last`, `best`, or the number of a step whose policy the run kept."""
    from pathlib import Path

    from rlcont.cli.commands import KEPT
    from rlcont.report.policy import TrainedPolicy
    from rlcont.runs.find import named_folder

    return TrainedPolicy(named_folder(Path(run)), KEPT.read(str(policy)))


def evaluations(run: str | Path) -> list[dict[str, float]]:
    """The evaluations of a run in order, each with the columns of evaluations.csv; NaN where one is empty."""
    from pathlib import Path

    from rlcont.runs.evaluations import read_evaluations
    from rlcont.runs.find import named_folder
    from rlcont.runs.folder import description

    folder = named_folder(Path(run))
    description(folder)  # Refuses a folder without a run.
    rows = read_evaluations(folder)
    return [{key: float(value or "nan") for key, value in row.items()} for row in rows]


def __getattr__(name: str) -> object:
    """`UserError`, imported where it is asked for, for the reason above."""
    if name == "UserError":
        from rlcont.core.errors import UserError

        return UserError
    raise AttributeError(f"module 'rlcont' has no attribute {name!r}")
