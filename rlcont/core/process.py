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

SPELLED = {"±": "+-", "–": "-", "…": "...", "×": "x"}


def prepare_process() -> None:
    """Call it first, in the main function of a process."""
    _signal.signal(_signal.SIGINT, _exit)
    # A file that is opened while one of these is closed would take its place.
    while (unused := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(unused)
    codecs.register_error("spelled", _spell)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif stream is getattr(sys, f"__{name}__") and type(stream) is io.TextIOWrapper:
            encoding, by_lines = stream.encoding, stream.line_buffering
            stream.flush()
            output = _Output(stream.detach(), encoding, "spelled", line_buffering=by_lines)
            setattr(sys, name, output)
            setattr(sys, f"__{name}__", output)


def _exit(number: int, frame: object) -> None:
    """Ends the process at once: an exception would be swallowed by some imports, and torn to pieces by others."""
    os.write(2, b"rlcont: interrupted\n")
    os._exit(128 + number)


def _spell(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(SPELLED.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


class _Output(io.TextIOWrapper):
    """Standard output or error, which drops what it cannot write: the reader may be gone, or the disk full."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except (OSError, ValueError) as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if not isinstance(error, OSError):  # It was closed.
            return
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.fileno())
        os.close(nothing)
        if error.errno not in (errno.EPIPE, errno.EIO):
            print(f"rlcont: the output cannot be written ({error.strerror}); it is dropped", file=sys.stderr)
