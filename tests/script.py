"""The installed console script, run as a user types it."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = str(Path(sys.executable).parent / "rlcont")


def rlcont(cwd, *arguments, env=None):
    """Runs rlcont with one torch thread in `cwd`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
    return subprocess.run([SCRIPT, *arguments], cwd=cwd, capture_output=True, text=True, env=environment, timeout=300)
