"""Checkpoints of a run: written whole or not at all, verified before they are used, without pickle.

    checkpoints/
      step-000000020000/   state.json and arrays.safetensors (see packing.py), manifest.json
      rows/                rows of a replay, each written once: rows-000000010000-000000020000.npy

A manifest lists every file that its checkpoint needs, rows included, with length and SHA-256. It is written last, into
a folder that is renamed into place when all is on disk.
"""

import contextlib
import hashlib
import io
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlcont import __version__
from rlcont.core.errors import UserError
from rlcont.core.packing import pack, unpack
from rlcont.core.protocols import Rows
from rlcont.core.types import Array
from rlcont.runs.files import read_json

log = logging.getLogger(__name__)

FORMAT = 3
"""Layout of the state, which changes with what agents, environments and the loop keep."""
MANIFEST, STATE, ARRAYS = "manifest.json", "state.json", "arrays.safetensors"
UNFINISHED = ".unfinished-"
"""Prefix of what is being written or deleted."""
DAMAGED = "damaged-"
"""Prefix of checkpoints that are not to be used; the next save deletes them."""


class Segment(NamedTuple):
    """A file that holds the rows first to last - 1."""

    first: int
    last: int
    bytes: int
    sha256: str

    @property
    def name(self) -> str:
        return f"rows-{self.first:012}-{self.last:012}.npy"


class Damaged(Exception):
    """A checkpoint whose files are not what was written."""


class Unreadable(Damaged):
    """A file that is there and cannot be read. What is in it may be whole."""


class OtherFormat(Damaged):
    """A checkpoint that another version of rlcont wrote: this one cannot use it."""


class Checkpoints:
    """The checkpoints of one run, of which the newest `keep` stay."""

    def __init__(self, run: Path, keep: int):
        self.folder = run / "checkpoints"
        self.rows_folder = self.folder / "rows"
        self.keep = keep
        self._segments: list[Segment] = []

    def save(self, step: int, state: Any, rows: Rows | None) -> None:
        """Writes a checkpoint, then deletes old ones. If writing fails, the previous checkpoint stays whole."""
        try:
            self._save(step, state, rows)
            self._delete_old()
        except OSError as error:
            with contextlib.suppress(OSError):
                self._delete_old()  # Frees the space of what is half written.
            kept = self.steps()
            left = f"the one of step {kept[-1]} is whole" if kept else "there is none yet"
            raise UserError(
                f"{self.folder}: the checkpoint of step {step} cannot be written ({error.strerror}); {left}"
            ) from error

    def load(self, rows: Rows | None) -> Any:
        """Loads the newest whole checkpoint and writes its rows into `rows`; returns the state.

        Damaged checkpoints are reported and moved aside.

        Raises:
            UserError: there is none, or a file of one cannot be read.
        """
        steps = self.steps()
        if not steps:
            raise UserError(f"{self.folder.parent}: it has no checkpoint to resume from")
        self.check_format()
        for step in reversed(steps):
            try:
                state, self._segments = self._load(step, rows)
            except Unreadable as error:
                raise UserError(str(error)) from error
            except Damaged as error:
                log.warning("rlcont: %s: the checkpoint of step %d is damaged (%s)", self.folder, step, error)
                continue
            for later in steps[steps.index(step) + 1 :]:
                self._put_aside(later)
            return state
        listed = ", ".join(map(str, steps))
        raise UserError(f"{self.folder}: no checkpoint is whole (steps {listed}); nothing was changed")

    def check_format(self) -> None:
        """Reads the manifests, newest first, up to the first that is whole."""
        for step in reversed(self.steps()):
            try:
                _opened(_read(self._path(step) / MANIFEST), step)
            except OtherFormat:
                run = self.folder.parent
                packages = read_json(run / "run.json").get("packages")
                version = packages.get("rlcont", "unknown") if isinstance(packages, dict) else "unknown"
                raise UserError(
                    f"{run}: its checkpoints are those of rlcont {version}, which {__version__} cannot read; "
                    f"resume it with rlcont {version} (rlcont eval and rlcont export can use its policies here)"
                ) from None
            except Damaged:
                continue
            return

    def steps(self) -> list[int]:
        """Steps of all checkpoints, damaged ones included."""
        return sorted(int(path.name[5:]) for path in self.folder.glob("step-*") if path.name[5:].isdigit())

    def _save(self, step: int, state: Any, rows: Rows | None) -> None:
        self.rows_folder.mkdir(parents=True, exist_ok=True)
        segments = [] if rows is None else self._write_segments(rows)
        text, arrays = pack(state)
        unfinished = self.folder / f"{UNFINISHED}{step:012}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        files = {STATE: text, ARRAYS: arrays}
        for name, content in files.items():
            write(unfinished / name, content)
        sums = {name: [len(content), _sum(content)] for name, content in files.items()}
        write(unfinished / MANIFEST, _sealed({"format": FORMAT, "step": step, "files": sums, "rows": segments}))
        sync_folder(unfinished)
        self._put_aside(step)
        os.rename(unfinished, self._path(step))
        sync_folder(self.folder)
        self._segments = segments

    def _write_segments(self, rows: Rows) -> list[Segment]:
        """Writes the rows that are not on disk yet; returns the segments that cover all rows in memory."""
        oldest = max(0, rows.num_added - rows.capacity)
        segments = [segment for segment in self._segments if segment.last > oldest]
        first = max(oldest, segments[-1].last if segments else 0)
        if first == rows.num_added:
            return segments
        buffer = io.BytesIO()
        np.save(buffer, rows.read(first, rows.num_added), allow_pickle=False)
        content = buffer.getvalue()
        segment = Segment(first, rows.num_added, len(content), _sum(content))
        partial = self.rows_folder / f"{UNFINISHED}{segment.name}"
        write(partial, content)
        os.rename(partial, self.rows_folder / segment.name)
        sync_folder(self.rows_folder)
        return [*segments, segment]

    def _load(self, step: int, rows: Rows | None) -> tuple[Any, list[Segment]]:
        path = self._path(step)
        files, segments = _opened(_read(path / MANIFEST), step)
        text, arrays = (_verified(path / name, *files[name]) for name in (STATE, ARRAYS))
        for segment in segments:
            content = _verified(self.rows_folder / segment.name, segment.bytes, segment.sha256)
            try:
                array: Array = np.load(io.BytesIO(content), allow_pickle=False)
                if rows is not None:
                    rows.write(segment.first, array)
            except (ValueError, TypeError, RuntimeError) as error:
                raise Damaged(f"{segment.name}: {error}") from None
        try:
            return unpack(text, arrays), segments
        except ValueError as error:
            raise Damaged(str(error)) from None

    def _put_aside(self, step: int) -> None:
        """Moves the checkpoint of `step` aside, if there is one; the next save deletes it."""
        path = self._path(step)
        if path.exists():
            aside = self.folder / f"{DAMAGED}{path.name}"
            shutil.rmtree(aside, ignore_errors=True)
            os.rename(path, aside)

    def _delete_old(self) -> None:
        """Deletes all but the newest checkpoints, and the row files that those do not need."""
        steps = self.steps()
        for step in steps[: -self.keep]:
            os.rename(self._path(step), self.folder / f"{UNFINISHED}{step:012}")
        for path in (*self.folder.glob(f"{UNFINISHED}*"), *self.folder.glob(f"{DAMAGED}*")):
            shutil.rmtree(path)
        needed: set[str] = set()
        for step in steps[-self.keep :]:
            try:
                needed |= {segment.name for segment in _opened(_read(self._path(step) / MANIFEST), step)[1]}
            except Unreadable:
                return  # It may be whole, and need any of them.
            except Damaged:
                continue
        for path in self.rows_folder.iterdir():
            if path.name not in needed:
                path.unlink()

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:012}"


def write(path: Path, content: bytes) -> None:
    """Writes a file and waits until it is on disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Waits until the names in a folder are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sealed(manifest: dict[str, Any]) -> bytes:
    """A manifest as JSON, with its own check sum in it."""
    return _canonical({**manifest, "sha256": _sum(_canonical(manifest))})


def _opened(content: bytes, step: int) -> tuple[dict[str, tuple[int, str]], list[Segment]]:
    """Lengths and check sums of files, and the segments, of the manifest of `step`.

    Raises:
        Damaged: it is not what `_sealed` wrote, to the last byte.
        OtherFormat: it is, in another version of rlcont.
    """
    try:
        manifest = json.loads(content)
        sealed = {key: value for key, value in manifest.items() if key != "sha256"}
        if content != _sealed(sealed):
            raise ValueError
        if manifest["format"] != FORMAT:
            raise OtherFormat(f"{MANIFEST}: format {manifest['format']} instead of {FORMAT}")
        if manifest["step"] != step:
            raise ValueError
        files = {name: (int(size), str(digest)) for name, (size, digest) in manifest["files"].items()}
        segments = [Segment(int(a), int(b), int(size), str(digest)) for a, b, size, digest in manifest["rows"]]
        if not {STATE, ARRAYS} <= files.keys():
            raise ValueError
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise Damaged(f"{MANIFEST}: not what was written") from None
    return files, segments


def _canonical(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Damaged(f"{path.name}: {error.strerror}") from None
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read ({error.strerror})") from None


def _verified(path: Path, size: int, digest: str) -> bytes:
    content = _read(path)
    if len(content) != size:
        raise Damaged(f"{path.name}: {len(content)} bytes instead of {size}")
    if _sum(content) != digest:
        raise Damaged(f"{path.name}: not what was written")
    return content
