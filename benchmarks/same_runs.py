"""Compares the runs of two installations that same_runs.sh made, to the last bit.

    python benchmarks/same_runs.py BEFORE AFTER

Prints for each run what differs in checkpoints, rows, curves, evaluations and policies; the exit code is 1 where
anything does. Times and the path of an environment's model file are left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

from interruptions import differences

SHOWN = 8


def main(before: Path, after: Path) -> int:
    num_bad = 0
    for done in sorted(before.glob("*/ok")):
        name = done.parent.name
        one, other = (next((root / name).glob("*/*/2*"), root) for root in (before, after))
        places = [f"{after / name} is missing"] if other == after else differences(one, other)
        differing = [place for place in places if "fullpath" not in place]
        num_bad += bool(differing)
        print(f"{name}: differing {differing[:SHOWN]}")
    return int(num_bad > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
