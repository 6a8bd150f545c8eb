"""Disks and processes that fail while a checkpoint is written, at a chosen operation."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from rlcont.runs import checkpoint

WATCHED = ("fsync", "rename", "rmtree")


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


@contextlib.contextmanager
def at_operation(number: int, fail: Callable[[], None]) -> Iterator[list[str]]:
    """Calls `fail` at the operation `number` (from 0) of what is saved meanwhile: a write is two, half of it and all.

    Yields:
        The operations that were done, in order.
    """
    done: list[str] = []

    def count(name: str) -> None:
        done.append(name)
        if len(done) == number + 1:
            fail()

    def write(path: Path, content: bytes) -> None:
        count(f"open {path.name}")
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
            file.flush()
            count(f"write half of {path.name}")
            file.write(content[len(content) // 2 :])
            file.flush()
            count(f"fsync {path.name}")

    watched: dict[str, Any] = {"os": _Watched(os, count), "shutil": _Watched(shutil, count)}
    with mock.patch.multiple(checkpoint, write=write, **watched):
        yield done


def killed() -> None:
    """The process ends here."""
    raise Killed


def disk_full() -> None:
    """The disk is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Watched:
    """A module some of whose functions are counted."""

    def __init__(self, module: Any, count: Callable[[str], None]):
        self._module = module
        self._count = count

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        if name not in WATCHED:
            return value

        def counted(*arguments: Any, **options: Any) -> Any:
            self._count(name)
            return value(*arguments, **options)

        return counted
