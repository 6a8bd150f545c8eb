"""Modules of the working directory that may be imported because their names were typed.

A name in a file never makes such a module importable: it could be a stranger's file in a stranger's folder.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from rlcont.core.errors import one_line

VARIABLE = "RLCONT_TYPED_MODULES"
"""The environment variable that tells the processes of a command which modules were typed, by their paths."""


def allow(module: str) -> None:
    """Notes that a module was typed in this working directory."""
    place = str(Path.cwd() / module.partition(".")[0])
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*_places(), place]))


@contextlib.contextmanager
def importable(module: str) -> Iterator[None]:
    """A context in which a module that was typed is found in its working directory, after all other places.

    The module may change the working directory for itself alone.

    Raises:
        ImportError: the module exits, or raises what no `except Exception` catches.
    """
    folders = [str(Path(place).parent) for place in _places() if Path(place).name == module.partition(".")[0]]
    before = list(sys.path)
    sys.path.extend(folders)
    try:
        with contextlib.chdir("."):
            yield
    except (Exception, KeyboardInterrupt):
        raise
    except SystemExit as error:
        raise ImportError(f"it exits when it is imported, exit code {error.code}") from error
    except BaseException as error:
        raise ImportError(one_line(error)) from error
    finally:
        sys.path[:] = before


def _places() -> list[str]:
    return [place for place in os.environ.get(VARIABLE, "").split(os.pathsep) if place]
