"""A pytest plugin that says each failure at once, so that a run which is ended at its time limit has said them."""

from __future__ import annotations

import os
from typing import Any

from gpu_rows import say


def pytest_runtest_logreport(report: Any) -> None:
    """Called for each phase of each test, in pytest's workers too, which leave it to the process that gathers."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        lines = report.longreprtext.splitlines()
        errors = [line[2:].strip() for line in lines if line.startswith("E ")]
        say("failed checks", check=report.nodeid.rpartition("::")[2], error=errors[0] if errors else lines[-1])
        print("\n".join(lines), flush=True)
