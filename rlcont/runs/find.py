"""Finds the folders of runs, sweeps and searches, also by `latest`, by the beginning of a name, and in the zoo."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from rlcont.core.errors import UserError
from rlcont.core.spelling import nearest

OUTPUTS = Path("outputs")
LATEST = "latest"
_PACKAGE = Path(__file__).parent.parent
_IN_CLONE = _PACKAGE.parent / "docs" / "results" / "zoo"
ZOO = _IN_CLONE if _IN_CLONE.is_dir() else _PACKAGE / "zoo"
"""Trained policies that come with rlcont: ALGO/ENV are folders of runs without curves and checkpoints."""


def run_folders(root: Path) -> Iterator[Path]:
    """Folders of runs: `root` itself, or all below it, each once, those that links lead to as well."""
    seen: set[str] = set()
    for folder, inner, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        is_run = "config.yaml" in files and "run.json" in files
        if is_run or real in seen:
            inner.clear()
        if is_run and real not in seen:
            yield Path(folder)
        seen.add(real)


def named_folder(name: Path, *, whole: bool = False) -> Path:
    """The folder that is named: `name` itself, or a run below its parent, which is `outputs` where none is typed.

    `latest` is the run that started or resumed last, zoo:ALGO/ENV one that comes with rlcont; any other name is the
    beginning of one folder's name. Where none begins so, `name` is returned.

    Args:
        whole: returns the sweep or search of a run that `latest` finds in one, and finds sweeps and searches by name.
    """
    if str(name).startswith("zoo:"):
        return _in_zoo(str(name).removeprefix("zoo:"))
    if name.exists():
        return name
    base = name.parent if len(name.parts) > 1 else OUTPUTS
    runs = sorted(run_folders(base), key=lambda folder: ((folder / "run.json").stat().st_mtime_ns, folder))
    if name.name == LATEST:
        if not runs:
            raise UserError(f"{name}: no run below {base}")
        found = [runs[-1].parent if whole and _is_whole(runs[-1].parent) else runs[-1]]
    else:
        folders = dict.fromkeys([*runs, *(run.parent for run in runs if whole and _is_whole(run.parent))])
        found = [folder for folder in folders if folder.name.startswith(name.name)]
        if len(found) > 1:
            raise UserError(
                f"{name}: {len(found)} folders begin so, such as {found[-1]}; {base / LATEST} is the newest"
            )
    if found:
        print(f"{name}: {found[0]}", file=sys.stderr, flush=True)
    return found[0] if found else name


def products_folder(folder: Path) -> Path:
    """Where films and exports of a run go by default: its own folder, or the working directory for one of the zoo."""
    return Path() if ZOO in folder.parents else folder


def _in_zoo(name: str) -> Path:
    names = sorted("/".join(folder.parts[-2:]) for folder in run_folders(ZOO))
    if name not in names:
        raise UserError(f"zoo:{name}: the zoo has {', '.join(names)}{nearest(name, names)}")
    return ZOO / name


def _is_whole(folder: Path) -> bool:
    """Whether a folder is that of a sweep or a search."""
    return (folder / "sweep.json").exists() or (folder / "search.json").exists()
