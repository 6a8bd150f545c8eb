"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlcont.core.errors import UserError


def read_json(path: Path) -> dict[str, Any]:
    """What a description says.

    Raises:
        UserError: it is not there, or broken.
    """
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no description of a run ({error})") from None
    if not isinstance(facts, dict):
        raise UserError(f"{path}: no description of a run")
    return facts


def make_exclusively(parent: Path, name: str) -> Path:
    """Makes a folder that nobody else made, with a number behind its name where that is taken."""
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
def writing_to(output: str) -> Iterator[None]:
    """Makes a user's mistake of an output folder that cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(f"output={output}: cannot be written ({error.strerror})") from None


def write_json(path: Path, value: Any) -> None:
    """Writes `value`, whole or not at all, for people and programs to read."""
    write_whole(path, (json.dumps(value, indent=2) + "\n").encode())


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def folder_time() -> str:
    """Now, as it stands in the name of a folder."""
    return datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
