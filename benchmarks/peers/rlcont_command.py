"""The installed `rlcont` command as a user runs it, measured by the times of its own log lines."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

PACKAGES = ["rlcont", "torch", "numpy", "gymnasium", "mujoco"]


class Measured(NamedTuple):
    """What a run said of itself between two of its log lines."""

    updates: int
    begin: float
    seconds: float
    workers: int
    """Processes that stepped its environments."""


def measure(settings: dict[str, Any], first: int, last: int) -> Measured:
    """Runs the command to its end and reads what lies between its log lines at environment steps `first` and `last`."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = [f"{key}={value}" for key, value in settings.items()]
        command = [str(Path(sys.executable).with_name("rlcont")), *overrides, f"output={folder}"]
        code = subprocess.run(command, stdout=sys.stderr).returncode
        if code != 0:
            sys.exit(code)
        (events,) = Path(folder).rglob("events.out.tfevents.*")
        accumulator = EventAccumulator(str(events), size_guidance={"scalars": 0})
        accumulator.Reload()
        points = {event.step: event for event in accumulator.Scalars("train/num_updates")}
        description = json.loads((events.parent / "run.json").read_text())
    begin, end = points[first], points[last]
    return Measured(
        round(end.value - begin.value),
        begin.wall_time,
        end.wall_time - begin.wall_time,
        description["acceleration"]["workers"],
    )
