"""Modules of the working directory that may be imported because their names were typed.

A name in a file never makes such a module importable: it could be a stranger's file in a stranger's folder.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "RLCONT_TYPED_MODULES"
"""The environment variable that tells the processes of a command which modules were typed, by their paths."""


def allow(module: str) -> None:
    """Notes that a module was typed in this working directory."""
    place = str(Path.cwd() / module.partition(".")[0])
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*_places(), place]))


@contextlib.contextmanager
def importable(module: str) -> Iterator[None]:
    """A context in which a module that was typed is found in its working directory, after all other places."""
    folders = [str(Path(place).parent) for place in _places() if Path(place).name == module.partition(".")[0]]
    before = list(sys.path)
    sys.path.extend(folders)
    try:
        yield
    finally:
        sys.path[:] = before


def _places() -> list[str]:
    return [place for place in os.environ.get(VARIABLE, "").split(os.pathsep) if place]
