"""Modules of the working directory that may be imported because their names were typed.

A name in a file never makes such a module importable: it could be a stranger's file in a stranger's folder.
"""

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from rlcont.core.errors import UserError, one_line, raised_at

VARIABLE = "RLCONT_TYPED_MODULES"
"""The environment variable that tells the processes of a command which modules were typed: a path in each line."""


def allow(module: str) -> None:
    """Notes that a module was typed in this working directory."""
    path = str(Path.cwd() / module.partition(".")[0])
    os.environ[VARIABLE] = "\n".join(dict.fromkeys([*_paths(), path]))


@contextlib.contextmanager
def importable(module: str, typed: str, hint: str = "") -> Iterator[None]:
    """A context in which a module that was typed is found in its working directory, after all other places.

    The module may change the working directory for itself alone.

    Args:
        typed: the KEY=VALUE that names the module.
        hint: what to do where there is no such module.

    Raises:
        UserError: the module cannot be imported, whatever it raises, or it exits.
    """
    if module.endswith(".py"):
        raise UserError(f"{typed}: {module} is a file; did you mean {typed.replace('.py:', ':')}?")
    folders = [str(Path(path).parent) for path in _paths() if Path(path).name == module.partition(".")[0]]
    before = list(sys.path)
    sys.path.extend(folders)
    try:
        with contextlib.chdir("."):
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # What an ImportError or SyntaxError says names the thing already.
        says_it = isinstance(error, ImportError | SyntaxError)
        reason = str(error) if says_it else one_line(error) + raised_at(error)
        if isinstance(error, SystemExit):
            reason = f"it exits when it is imported, exit code {error.code}"
        is_absent = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
        way_out = (hint or "; set PYTHONPATH to its folder, as in PYTHONPATH=. rlcont ...") if is_absent else ""
        raise UserError(f"{typed}: module {module!r} cannot be imported ({reason}){way_out}") from error
    finally:
        sys.path[:] = before


def way_on(folder: Path) -> str:
    """Says how a run, a sweep or a search goes on. The command names no module, so it may need PYTHONPATH."""
    return f"{_needed_path()}rlcont resume {shlex.quote(str(folder))} goes on"


def _needed_path() -> str:
    folders = [Path(path).parent for path in _paths() if Path(path).is_dir() or Path(f"{path}.py").is_file()]
    names = dict.fromkeys("." if folder == Path.cwd() else str(folder) for folder in folders)
    return f"PYTHONPATH={shlex.quote(':'.join(names))} " if names else ""


def _paths() -> list[str]:
    return [path for path in os.environ.get(VARIABLE, "").split("\n") if path]
