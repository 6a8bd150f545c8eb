"""Ctrl-C and SIGTERM: obeyed between two steps, or at once when they come again."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from rlcont.core.errors import Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """While it is entered, remembers the first Ctrl-C or SIGTERM for whoever asks; the second raises `Stopped`.

    A third ends the process as if nobody had listened: an exception that comes at any moment can come where it is
    swallowed, as in a destructor or a callback from C.
    """

    def __init__(self) -> None:
        self.came: int | None = None

    def __enter__(self) -> Interrupt:
        self._in_main_thread = threading.current_thread() is threading.main_thread()
        if self._in_main_thread:
            self._before = {number: signal.signal(number, self._take) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        if self._in_main_thread:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.came is None:
            self.came = number
            return
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        raise Stopped(number, "interrupted twice; what came after the last checkpoint is lost")
