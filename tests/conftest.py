"""Settings of the whole suite: one torch thread, repeatable property tests, probe environments, long files first."""

import importlib
import os
import signal
import tempfile

import torch
from hypothesis import settings

# Under nohup it is ignored, by the runs that tests start as well.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

LONGEST = (
    "test_accelerate",
    "test_library",
    "test_search",
    "test_ray",
    "test_sweep",
    "test_sweep_again",
    "test_cli",
    "test_own_algorithm",
    "test_contributing",
    "test_seams",
    "test_resume",
    "test_config",
    "test_export",
    "test_mistakes",
    "test_help",
)
"""By the processor's time of both sets; a compilation, a Ray or a run in a process of its own takes seconds."""

importlib.import_module("probe_envs")
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # Of the processes that tests start.
# Compiled code is shared by the tests and the processes that they start, and nothing is written to the user's cache.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", f"{tempfile.gettempdir()}/rlcont-tests-{os.getuid()}")
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=30)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items):
    """Files are handed out whole: a long one that comes last would keep one core busy and the others idle."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONGEST)))
