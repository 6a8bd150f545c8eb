"""Ctrl-C, SIGTERM and SIGHUP: the first is obeyed between two steps, the second at once."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Self

from rlcont.core.errors import Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 1.0
"""Seconds."""
TOGETHER = 1.0
"""Seconds from the first signal in which others belong to it: Slurm and systemd tell every process of a sweep to end,
and the sweep tells its jobs as well."""


class Interrupt:
    """A context that stores the first of SIGNALS in `received`, and raises `Stopped` at the second, TOGETHER later.

    If the first is not obeyed within PATIENCE, as while an update is compiled, `told` is printed. The third has its
    default effect and ends the process: an exception that is raised at any moment may be swallowed, as in a destructor
    or a callback from C.
    """

    def __init__(self, told: str = "") -> None:
        self.received: int | None = None
        self.since = 0.0
        self.told = told
        # Not by print, which a signal may have interrupted.
        self._reminder = threading.Timer(PATIENCE, os.write, (2, f"rlcont: {told}\n".encode()))
        self._reminder.daemon = True

    def __enter__(self) -> Self:
        numbers = SIGNALS if threading.current_thread() is threading.main_thread() else ()
        # A SIGHUP that is ignored, as by nohup, stays so.
        heard = [each for each in numbers if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self.take) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        self._reminder.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def take(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self.since = number, time.monotonic()
            if self.told:
                self._reminder.start()
        elif time.monotonic() - self.since >= TOGETHER:
            self.take_again(number)

    def take_again(self, number: int) -> None:
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
        raise Stopped(number, "interrupted twice; what came after the last checkpoint is lost")


@contextlib.contextmanager
def whole_before_interrupts() -> Iterator[None]:
    """A context that Ctrl-C ends only when all of it is done, so that no folder is left half written."""
    with Interrupt() as interrupt:
        yield
    if interrupt.received is not None:
        raise Stopped(interrupt.received, "interrupted")


@contextlib.contextmanager
def interrupts_raise() -> Iterator[None]:
    """A context in which Ctrl-C is an exception, so that temporary files are deleted."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
