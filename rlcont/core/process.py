"""A process that a user started: Ctrl-C before there is anything to save, and an output that cannot end a run.

Imports only what Python has loaded by itself: Ctrl-C that comes before `prepare_process` is a traceback.
"""

from __future__ import annotations

import _signal
import codecs
import errno
import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

SPELLED = {"±": "+-", "–": "-", "…": "...", "×": "x", "━": "#", "─": "-"}


def prepare_process() -> None:
    """Call it first, in the main function of a process."""
    _signal.signal(_signal.SIGINT, _exit)
    # A file that is opened while one of these is closed would take its place.
    while (unused := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(unused)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (open as long as the process)
        elif stream is getattr(sys, f"__{name}__") and type(stream) is io.TextIOWrapper:
            output = _Output(stream)
            setattr(sys, name, output)
            setattr(sys, f"__{name}__", output)


class LastingOutput:
    """A context in which a broken standard output or error raises nothing; for calls from another program."""

    def __enter__(self) -> None:
        self._before = sys.stdout, sys.stderr
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            setattr(sys, name, None if stream is None else _Output(stream))

    def __exit__(self, *_: object) -> None:
        sys.stdout, sys.stderr = self._before


def _exit(number: int, frame: object) -> None:
    """Ends the process at once: an exception would be swallowed by some imports, and torn to pieces by others."""
    os.write(2, b"rlcont: interrupted\n")
    os._exit(128 + number)


def _spell(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(SPELLED.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error("spelled", _spell)


class _Output:
    """Standard output or error, which drops what it cannot write: the reader may be gone, or the disk full."""

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                encoding = self._stream.encoding
                self._stream.write(text.encode(encoding, "spelled").decode(encoding))
        except (OSError, ValueError) as error:
            self._give_up(error)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if not isinstance(error, OSError):  # It was closed.
            return
        try:
            number = self._stream.fileno()
        except (OSError, ValueError, AttributeError):  # It is no file.
            return
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, number)
        os.close(nothing)
        if error.errno not in (errno.EPIPE, errno.EIO):
            print(f"rlcont: the output cannot be written ({error.strerror}); it is dropped", file=sys.stderr)
