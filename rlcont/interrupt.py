"""Ctrl-C that is not lost."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupt:
    """While it is entered, remembers Ctrl-C besides raising KeyboardInterrupt.

    An exception that comes at any moment can come where it is swallowed: in a destructor, a callback from C, an import
    that tries alternatives. `check` raises it again.
    """

    def __init__(self) -> None:
        self._came = False

    def __enter__(self) -> Interrupt:
        self._in_main_thread = threading.current_thread() is threading.main_thread()
        if self._in_main_thread:
            self._before = signal.signal(signal.SIGINT, self._remember)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._in_main_thread:
            signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Raises KeyboardInterrupt where Ctrl-C was pressed and nobody has obeyed."""
        if self._came:
            raise KeyboardInterrupt

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        raise KeyboardInterrupt
