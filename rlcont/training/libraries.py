"""An update that runs from a library, made once and loaded by later processes without the compiler.

Importing torch's compiler, and letting it find what it has kept, takes seconds; loading a library takes a millisecond.
Beside each library stands its `Origin`, and it is used where that is still so.
"""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rlcont.core.errors import one_line
from rlcont.core.protocols import Update
from rlcont.core.types import Metrics
from rlcont.training import ahead
from rlcont.training.ahead import NotCompilable
from rlcont.training.watched import WatchedValues

MOST_KEPT = 64
"""Libraries of an update that are kept, the last used ones; one has up to a few hundred kB."""
MOST_UPDATES = 64
"""Updates whose libraries are kept, the last used ones: each version of rlcont, torch or Python has its own."""
MOST_LAYOUTS = 8
"""Layouts of its tensors that an update is compiled for."""
LIBRARY, ORIGIN = "update.so", "origin.json"
RLCONT = Path(__file__).parent.parent
OWN = tuple(f"{RLCONT / name}{os.sep}" for name in ("algos", "core", "exploration", "memory", "nn", "training"))
"""Where the code of rlcont's own updates lies."""
INSTALLED = (f"{torch.__path__[0]}{os.sep}", f"{Path(os.__file__).parent}{os.sep}")
"""Where code lies that changes only with the versions of torch and Python."""

Layout = tuple[torch.dtype, tuple[int, ...], tuple[int, ...], bool]
"""Type, shape and strides of a tensor, and whether it requires a gradient."""


class Origin(NamedTuple):
    """What a library was made from, and how it is called."""

    constants: dict[str, str]
    """The Python values that the update read, by expression, as text."""
    structure: dict[str, str]
    """The networks and functions that it used, likewise."""
    tensors: list[str]
    """The tensors that the update read or wrote, as expressions."""
    layouts: list[Layout]
    """The layout of each."""
    outputs: dict[str, int]
    """By the name of each metric, its place among what the library returns."""

    def to_json(self) -> str:
        layouts = [(str(dtype).removeprefix("torch."), *others) for dtype, *others in self.layouts]
        return json.dumps(self._asdict() | {"layouts": layouts}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Origin":
        """Raises ValueError, TypeError or AttributeError where the text is of another version."""
        fields = json.loads(text)
        layouts = [
            (getattr(torch, dtype), tuple(shape), tuple(strides), requires_grad)
            for dtype, shape, strides, requires_grad in fields.pop("layouts")
        ]
        return cls(**fields, layouts=layouts)


class Library:
    """A library, loaded, and the tensors of one update that it reads and writes.

    Args:
        batch: how the expressions of `origin` call the update's argument.
        scope: the other names in them.
    """

    def __init__(self, path: Path, origin: Origin, batch: str, scope: dict[str, Any]):
        self.origin = origin
        expressions = "".join(f"{each.replace(_local(batch), 'batch')}, " for each in origin.tensors)
        self.tensors = eval(f"lambda batch: ({expressions})", dict(scope))
        self.runner = torch._C._aoti.AOTIModelContainerRunnerCpu(str(path), 1)

    def fits(self, batch: NamedTuple) -> bool:
        """Whether the tensors are laid out as they were where the library was made."""
        try:
            return [_layout(tensor) for tensor in self.tensors(batch)] == self.origin.layouts
        except (AttributeError, LookupError, NameError, TypeError):
            return False  # Something is gone, or only the compiler can evaluate it.

    def __call__(self, batch: NamedTuple) -> Metrics:
        with torch.no_grad():
            outputs = self.runner.run(list(self.tensors(batch)))
        return {name: outputs[place] for name, place in self.origin.outputs.items()}


class LibraryUpdate:
    """An update that runs from libraries, one for each layout of its tensors; they are found, or made and kept.

    Args:
        update: a function whose code object no other function has.
        watched: the Python values that the libraries hold as constants.
        folder: where libraries are kept.
    """

    def __init__(self, update: Update, watched: WatchedValues, folder: Path):
        self.update = update
        self.watched = watched
        function: Any = getattr(update, "__func__", update)
        self.batch = function.__code__.co_varnames[1 if hasattr(update, "__self__") else 0]
        self.folder = folder / "updates" / _key(function)
        self.libraries: list[Library] = []

    def __call__(self, batch: NamedTuple) -> Metrics:
        """One update.

        Raises:
            NotCompilable: no library can be made. Nothing has been computed.
            torch._dynamo.exc.TorchDynamoException: the update cannot be compiled. Nothing has been computed.
        """
        for library in self.libraries:
            if library.fits(batch):
                return library(batch)
        if len(self.libraries) == MOST_LAYOUTS:
            raise NotCompilable(f"its tensors had more than {MOST_LAYOUTS} shapes")
        self.libraries.append(self._found(batch) or self._made(batch))
        return self.libraries[-1](batch)

    def _found(self, batch: NamedTuple) -> Library | None:
        """The library of an earlier process that had the same code, values, networks and layouts."""
        for path in _last_used_first(self.folder):
            origin = self._recognised(path)
            library = self._loaded(path, origin) if origin else None
            if origin and library and library.fits(batch):
                self.watched.watch(origin.constants)
                with contextlib.suppress(OSError):  # Another run has dropped it.
                    os.utime(path)
                    os.utime(self.folder)
                return library
        return None

    def _recognised(self, path: Path) -> Origin | None:
        """What the library in the folder `path` was made from, where that is still so."""
        with contextlib.suppress(Exception):  # The text is damaged, or an expression is not of this update.
            origin = Origin.from_json((path / ORIGIN).read_text())
            if self.watched.are(origin.constants | origin.structure):
                return origin
        return None

    def _loaded(self, path: Path, origin: Origin) -> Library | None:
        """The library in the folder `path`, which is dropped if it cannot be loaded."""
        try:
            return Library(path / LIBRARY, origin, self.batch, self.watched.scope)
        except RuntimeError:
            shutil.rmtree(path, ignore_errors=True)
            return None

    def _made(self, batch: NamedTuple) -> Library:
        """A new library. It is kept, unless values that it was made from could not be recognised later."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            making = Path(tempfile.mkdtemp(prefix="making-", dir=self.folder))
        except OSError as error:
            raise NotCompilable(str(error)) from error
        try:
            traced = self._traced(batch)
            if unseen := [each for each in self.watched.left if _local(self.batch) not in each]:
                raise NotCompilable(f"only the compiler can look at {unseen[0]}")
            layouts = [_layout(tensor) for tensor in traced.tensors]
            ahead.build(traced, making / LIBRARY)
            origin = Origin({}, self.watched.structure(), traced.expressions, layouts, traced.outputs)
            library = self._loaded(making, origin)
            if library is None or not library.fits(batch):
                raise NotCompilable("it reaches its tensors in a way that only the compiler knows")
            with contextlib.suppress(ValueError, OSError):
                self._keep(making, origin._replace(constants=self.watched.constants()))
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return library

    def _traced(self, batch: NamedTuple) -> ahead.Traced:
        """The update as the compiler sees it."""
        try:
            return ahead.trace(self.update, batch, self.watched.take_over, _is_known)
        except (NotCompilable, torch._dynamo.exc.TorchDynamoException):
            raise
        except Exception as error:  # Of a torch in which something that tracing relies on has changed.
            raise NotCompilable(one_line(error)) from error

    def _keep(self, making: Path, origin: Origin) -> None:
        """Moves a library to its place in the folder, as a whole, and drops those that were not used for longest, of
        this update and of all.
        """
        text = origin.to_json()
        (making / ORIGIN).write_text(text)
        shutil.rmtree(self.folder / _name(text), ignore_errors=True)
        making.rename(self.folder / _name(text))
        abandoned = [*_last_used_first(self.folder)[MOST_KEPT:], *_last_used_first(self.folder.parent)[MOST_UPDATES:]]
        for path in abandoned:
            shutil.rmtree(path, ignore_errors=True)


def _local(name: str) -> str:
    """How the compiler calls a local variable."""
    return f"L[{name!r}]"


def _layout(tensor: torch.Tensor) -> Layout:
    return tensor.dtype, tensor.shape, tensor.stride(), tensor.requires_grad


def _last_used_first(folder: Path) -> list[Path]:
    """The folders of libraries, among them those that are being made or were abandoned."""
    used = {}
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):  # Another run has dropped it.
            used[path] = path.stat().st_mtime
    return sorted(used, key=lambda path: used[path], reverse=True)


def _key(function: Any) -> str:
    """Stands for what all libraries of an update depend on: the versions, the processor, and rlcont's code."""
    update = f"{function.__module__}.{function.__qualname__}"
    return _name(" ".join([update, torch.__version__, sys.version, _processor(), CODE]))


def _is_known(file: str) -> bool:
    """Whether `_key` stands for the code in a file. One's own code is not known, so it is compiled in each process."""
    is_package = any(f"{os.sep}{name}{os.sep}" in file for name in ("site-packages", "dist-packages"))
    return file.startswith((*OWN, INSTALLED[0])) or (file.startswith(INSTALLED[1]) and not is_package)


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _processor() -> str:
    """The processor's name and what it can do, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return " ".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    except OSError:
        return " ".join(platform.uname())


def _digest(folders: Iterable[str]) -> str:
    """SHA-256 of the Python files in some folders."""
    files = sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


CODE = _digest(OWN)
"""Digest of rlcont's own code, as this process imports it: a file may be edited later."""
