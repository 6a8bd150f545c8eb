"""Exceptions that end a command early without being defects, and packages that only some commands need."""

import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path


class UserError(Exception):
    """A mistake that the user can correct. Its message is the one line that is printed.

    Whatever reads a command line, a YAML file or a run's folder raises it for the first mistake there.
    """

    def __str__(self) -> str:
        return " ".join(super().__str__().split())


class ForeignError(UserError):
    """An exception of the user's own code, such as an environment's, as one line."""


class ActorsLost(UserError):
    """No actor is left; the learner itself is intact."""


class Stopped(KeyboardInterrupt):
    """A signal ended the run. Its message is the one line that is printed."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.exit_code = 128 + number


def exit_code(command: Callable[[], object]) -> int:
    """Runs a command; returns 0, or after a line on standard error 2 for a user's mistake, 128 + N for a signal."""
    try:
        command()
    except UserError as error:
        print(f"rlcont: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # Of a folder that the user has no right to, or a full disk.
        if error.filename is None:
            raise
        print(f"rlcont: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"rlcont: {stopped}", file=sys.stderr)
        return stopped.exit_code
    except KeyboardInterrupt:
        print("rlcont: interrupted", file=sys.stderr)
        return 130
    return 0


def one_line(error: BaseException) -> str:
    """An error as one line: its type, unless it is a UserError, and the first line of its message."""
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def raised_at(error: BaseException) -> str:
    """The last line of the user's own that an error went through, in brackets: no package's, Python's or rlcont's."""
    # Gymnasium raises what a constructor raised anew.
    causes = [each.__traceback__ for each in (error.__cause__ or error.__context__, error) if each is not None]
    frames = [frame for each in causes for frame in traceback.extract_tb(each)]
    not_own = (str(Path(__file__).parent.parent), sysconfig.get_path("stdlib"), "<frozen")
    own = [each for each in frames if "-packages" not in each.filename and not each.filename.startswith(not_own)]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def require(what: str, extra: str, *modules: str) -> None:
    """Checks that the modules of an extra, such as `export`, are installed, without importing them."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise UserError(f"{what}: needs {module}; install it by pip install '.[{extra}]' in rlcont's folder")
