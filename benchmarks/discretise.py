"""What discretising a continuous action costs: one Q-value per combination of K levels in N joints.

Prints a Markdown table: the last layer (256 units in) of a network with K^N outputs against that of an actor with N
outputs, its size, and the time of a forward pass for 256 observations. Heads too large to build are only counted.

    python benchmarks/discretise.py
"""

from __future__ import annotations

import statistics
import time

import torch

ENVIRONMENTS = {"Pendulum": 1, "Hopper": 3, "HalfCheetah": 6, "Ant": 8, "Humanoid": 17}
LEVELS = (3, 7)
UNITS = 256
LIMIT = 300_000


def forward_milliseconds(num_outputs: int, repeats: int = 11) -> float:
    """Median time of one linear layer of `num_outputs` on 256 rows."""
    layer, rows = torch.nn.Linear(UNITS, num_outputs), torch.randn(256, UNITS)
    times = []
    with torch.inference_mode():
        for _ in range(repeats):
            start = time.perf_counter()
            layer(rows)
            times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[1:])


def row(name: str, joints: int, levels: int | None) -> str:
    outputs = joints if levels is None else levels**joints
    parameters = outputs * (UNITS + 1)
    measured = f"{forward_milliseconds(outputs):.2f} ms" if outputs <= LIMIT else "not built"
    kind = "actor" if levels is None else f"K = {levels}"
    return f"| {name} | {joints} | {kind} | {outputs:,} | {4 * parameters / 1e6:,.2f} MB | {measured} |"


def main() -> None:
    torch.set_num_threads(1)
    print("| environment | joints N | head | outputs | weights of the head | forward, 256 rows |")
    print("|---|---|---|---|---|---|")
    for name, joints in ENVIRONMENTS.items():
        for levels in (None, *LEVELS):
            print(row(name, joints, levels))


if __name__ == "__main__":
    main()
