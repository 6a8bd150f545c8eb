"""The process of one job of a sweep: python -m rlcont.sweep.job FOLDER."""

import faulthandler
import os
import signal
import sys
import threading
import time
from pathlib import Path

from rlcont.core.errors import exit_code
from rlcont.core.process import prepare_process
from rlcont.core.resources import prepare_threads
from rlcont.runs.folder import description, forget, load_config
from rlcont.runs.resume import plan_resume

GRACE = 10.0  # Seconds that a job has to close its files after SIGINT.


def main(folder: Path) -> int:
    """Starts or resumes the run in `folder`; returns the exit code."""
    faulthandler.enable()
    prepare_process()
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    return exit_code(lambda: _train(folder))


def _train(folder: Path) -> None:
    prepare_threads()
    from rlcont.runs.checkpoint import Checkpoints
    from rlcont.training.run import resume, run

    if Checkpoints(folder, 1).steps():
        plan = plan_resume(folder, [])
        if plan is not None:
            resume(plan)
    else:
        forget(folder)
        run(load_config(folder), description(folder)["choices"], folder)


def _end_with_the_sweep() -> None:
    """Ends this process when standard input closes: it is a pipe that closes however the sweep's process dies."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
