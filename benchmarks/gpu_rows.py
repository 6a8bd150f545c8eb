"""Rows of the tables in gpu_run.py's report."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FILE = "GPU_ROWS"
"""The environment variable that names the file in which rows are gathered."""


def say(table: str, **columns: Any) -> None:
    """Adds a row to `table`, at once, so that it outlives whoever says it; printed too."""
    line = json.dumps({"table": table, **columns}, ensure_ascii=False)
    print(line, flush=True)
    if path := os.environ.get(FILE):
        with Path(path).open("a") as file:
            file.write(line + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """The rows that were said, each with the name of its table."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
