"""Atomic writes of files, and exclusive creation of folders."""

import contextlib
import datetime
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlcont.core.errors import UserError

try:
    START: Path | None = Path.cwd()
except OSError:
    START = None
"""The working directory of the command line, before any foreign code changes it."""


def shown(path: Path) -> Path:
    """A path as the user's shell finds it: relative to the working directory of the command line if it is below."""
    return path.relative_to(START) if START is not None and path.is_relative_to(START) else path


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file that describes a run, sweep or search."""
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no description of a run ({error})") from None
    if not isinstance(facts, dict):
        raise UserError(f"{path}: no description of a run")
    return facts


def make_exclusively(parent: Path, name: str) -> Path:
    """Creates a new folder in `parent`; appends a number to the name if it is taken."""
    parent.mkdir(parents=True, exist_ok=True)
    folder, number = parent / name, 1
    while True:
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            folder = parent / f"{name}-{number}"
        else:
            return folder


@contextlib.contextmanager
def writing_to(place: str, when: str = "") -> Iterator[None]:
    """Turns an OSError, such as a full disk or a missing folder, into a UserError that names the place."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())[-200:]
        raise UserError(f"{place}: cannot be written{when} ({reason})") from error


def write_json(path: Path, value: Any) -> None:
    """Writes a file as `write_whole` does; arrays become lists."""
    write_whole(path, (json.dumps(value, indent=2, default=lambda array: array.tolist()) + "\n").encode())


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file atomically: readers see the old content or the new."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def folder_time() -> str:
    """The current time as part of a folder's name."""
    return datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
