"""The tables of docs/benchmarks.md from the raw runs in docs/results/speed.csv."""

from __future__ import annotations

import csv
import math
import re
import statistics
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "benchmarks.md"
RUNS = DOCS / "results" / "speed.csv"
BEGIN, END = "<!-- speed:begin -->", "<!-- speed:end -->"

RETURN = 8000.0


class Item(NamedTuple):
    """One line of the table: a system at one piece of work."""

    name: str
    system: str
    label: str
    hidden: str
    compared_with: str
    """The item whose steps/s the comparison divides by this one's."""
    options: tuple[str, ...] = ()
    """Arguments of the driver."""
    processes: int = 1
    """Runs at the same time."""
    algo: str = "ddpg"
    steps: int = 4000
    """Environment steps of the window of each run."""
    stepping: str = ""
    """What steps its environments, where there are several."""

    @property
    def driver(self) -> str:
        """The file in peers/ that runs it; rlcont's D4PG and TD3 are its DDPG with other settings."""
        shared = self.system == "rlcont" and self.algo in ("d4pg", "td3")
        return f"{'ddpg' if shared else self.algo}_{self.system}.py"

    @property
    def detail(self) -> str:
        """The second column: what tells the items of one system apart."""
        return self.stepping or self.hidden.replace(",", "-")


ONE_THREAD = ("--settings", "threads=1")
AS_PUBLISHED = (
    "algo.num_atoms=51",
    "algo.replay=prioritized",
    "algo.n_step=3",
    "algo.num_critics=1",
    "algo.target_sigma=0",
    *(f"algo.{network}.{key}=false" for network in ("actor", "critic") for key in ("layer_norm", "residual")),
    *(f"algo.normalize_{name}=false" for name in ("obs", "reward")),
    "algo.return_bound=null",
    "algo.v_min=-1000",
    "algo.v_max=1000",
)
"""D4PG of arXiv:1804.08617 on DDPG's networks and batch."""
ITEMS = [
    Item("rlcont-256", "rlcont", "rlcont", "256,256", ""),
    Item("rlcont-400-300", "rlcont", "rlcont", "400,300", ""),
    Item("rlcont-256-bf16", "rlcont", "rlcont, precision=bf16", "256,256", "rlcont-256", ("--precision", "bf16")),
    Item("rlcont-256-1", "rlcont", "rlcont, threads=1", "256,256", "rlcont-256", ONE_THREAD),
    Item("rlcont-256-x2", "rlcont", "rlcont, two seeds at once", "256,256", "rlcont-256", ONE_THREAD, 2),
    Item("rlcont-256-by-hand", "rlcont", "rlcont, two seeds started by hand", "256,256", "rlcont-256", (), 2),
    Item("sb3-256", "sb3", "Stable-Baselines3", "256,256", "rlcont-256"),
    Item("sb3-400-300", "sb3", "Stable-Baselines3", "400,300", "rlcont-400-300"),
    Item("sbx-256", "sbx", "SBX (JAX)", "256,256", "rlcont-256"),
    Item("sbx-400-300", "sbx", "SBX (JAX)", "400,300", "rlcont-400-300"),
    Item("tianshou-256", "tianshou", "Tianshou", "256,256", "rlcont-256"),
    Item("tianshou-400-300", "tianshou", "Tianshou", "400,300", "rlcont-400-300"),
    Item("rlcont-a2c", "rlcont", "rlcont", "64,64", "", algo="a2c", steps=61_440, stepping="workers=auto"),
    Item(
        "sb3-a2c",
        "sb3",
        "Stable-Baselines3",
        "64,64",
        "rlcont-a2c",
        algo="a2c",
        steps=61_440,
        stepping="DummyVecEnv, 1 process",
    ),
    Item(
        "sb3-a2c-subproc",
        "sb3",
        "Stable-Baselines3",
        "64,64",
        "rlcont-a2c",
        ("--vec-env", "subproc"),
        algo="a2c",
        steps=61_440,
        stepping="SubprocVecEnv, 8 processes",
    ),
    Item("rlcont-d4pg-ddpg", "rlcont", "DDPG", "256,256", "", algo="d4pg"),
    Item(
        "rlcont-d4pg",
        "rlcont",
        "D4PG: 51 atoms, prioritised replay, n 3",
        "256,256",
        "rlcont-d4pg-ddpg",
        ("--settings", "algo=d4pg", *AS_PUBLISHED),
        algo="d4pg",
    ),
    Item(
        "rlcont-d4pg-defaults",
        "rlcont",
        "D4PG by its defaults: two critics, 128 rows",
        "256,256",
        "rlcont-d4pg-ddpg",
        ("--settings", "algo=d4pg", "algo.batch_size=128"),
        algo="d4pg",
    ),
    Item(
        "rlcont-d4pg-tuned",
        "rlcont",
        "D4PG as tuned for HalfCheetah: targets copied",
        "256,256",
        "rlcont-d4pg-ddpg",
        ("--settings", "algo=d4pg", "algo.batch_size=128", "algo.target_every=200", "algo.tau=1.0"),
        algo="d4pg",
    ),
    Item("rlcont-td3", "rlcont", "rlcont", "256,256", "", ("--settings", "algo=td3"), algo="td3"),
    Item("rltools-td3", "rltools", "RLtools (C++)", "256,256", "rlcont-td3", algo="td3"),
]

HEADINGS = {
    "ddpg": ("DDPG", "network"),
    "a2c": ("A2C", "environments"),
    "d4pg": ("D4PG", "network"),
    "td3": ("TD3", "network"),
}
"""By algorithm, the first two columns of its table."""

LEARNERS = [
    # Label, evaluations of its runs, the item whose speed it trains at: the network of its settings.
    (
        "rlcont, D4PG as tuned",
        ("runs/d4pg/HalfCheetah-v4/seed-*.csv", "d4pg/HalfCheetah-v4/copied-targets-s*.csv"),
        "rlcont-d4pg-tuned",
    ),
    ("rlcont, DDPG", ("ddpg/HalfCheetah-v4/gaussian-0.1-s*.csv", "ddpg/HalfCheetah-v4/fp32-s*.csv"), "rlcont-256"),
    ("Stable-Baselines3, DDPG", ("peers/HalfCheetah-v4/sb3-s*.csv",), "sb3-400-300"),
    ("SBX (JAX), DDPG", ("peers/HalfCheetah-v4/sbx-s*.csv",), "sbx-400-300"),
]

COLUMNS = (
    "item",
    "round",
    "beside",
    "extra",
    "steps",
    "seconds",
    "steps_per_second",
    "load",
    "busy_percent",
    "date",
    "machine",
    "versions",
    "error",
)

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def quiet(rows: list[Row]) -> list[Row]:
    """The runs that had no busy process of the bench's beside them."""
    return [row for row in rows if not is_beside(row)]


def is_beside(row: Row) -> bool:
    return row.get("beside") == "1"


def speeds(rows: list[Row], item: str) -> list[float]:
    """Steps per second of the item's runs that ended well."""
    return [float(row["steps_per_second"]) for row in rows if row["item"] == item and not row["error"]]


def median_speed(rows: list[Row], item: str) -> float | None:
    found = speeds(rows, item)
    return statistics.median(found) if found else None


def speed_tables(rows: list[Row]) -> str:
    """A table for each algorithm that was run, with one line per item that was, and when and where it was made.

    Failed runs are named in it.
    """
    by_algo = {algo: [row for row in rows if algo_of(row) == algo] for algo in HEADINGS}
    tables = [f"{_speed_table(algo, own)}\n\n{_circumstances(own)}" for algo, own in by_algo.items() if own]
    return "\n\n".join(tables)


def _speed_table(algo: str, rows: list[Row]) -> str:
    name, detail = HEADINGS[algo]
    beside = [row for row in rows if is_beside(row)]
    lines = [f"| {name} | {detail} | steps/s, median | quartiles | runs | rlcont is |", "|---|---|---:|---:|---:|---|"]
    if beside:
        lines = [f"{lines[0]} beside one busy process | rlcont is |", f"{lines[1]}---:|---|"]
    for item in ITEMS:
        own = [row for row in quiet(rows) if row["item"] == item.name]
        if own and item.algo == algo:
            lines.append(_line(item, own, quiet(rows)) + (_line_beside(item, beside) if beside else ""))
    return "\n".join(lines)


def _line_beside(item: Item, rows: list[Row]) -> str:
    """The cells of the runs beside a busy process."""
    found = speeds(rows, item.name)
    spread = f"{statistics.median(found):.0f} ({_quartiles(found)})" if found else "–"
    return f" {spread} | {_comparison(item, rows)} |"


def algo_of(row: Row) -> str:
    return _item(row).algo


def _item(row: Row) -> Item:
    return next(item for item in ITEMS if item.name == row["item"])


def _line(item: Item, own: list[Row], rows: list[Row]) -> str:
    found = speeds(rows, item.name)
    settings = dict.fromkeys(setting for row in own for setting in _settings(row["extra"]))
    extra = "".join(f", {setting}" for setting in settings)
    errors = [row["error"] for row in own if row["error"]]
    number = f"{len(found)} of {len(own)}" if errors else f"{len(found)}"
    remark = _comparison(item, rows) + (f" failed: {_cell(errors[-1])}" if errors else "")
    middle = f"{statistics.median(found):.0f} | {_quartiles(found)}" if found else "– | –"
    return f"| {item.label}{extra} | {item.detail} | {middle} | {number} | {remark.strip()} |"


def _settings(extra: str) -> list[str]:
    """The settings KEY=VALUE in a row's column `extra`; a value may have spaces."""
    return re.split(r" (?=[\w.]+=)", extra) if extra else []


def _comparison(item: Item, rows: list[Row]) -> str:
    other, own = median_speed(rows, item.compared_with), median_speed(rows, item.name)
    if other is None or own is None:
        return ""
    if item.system == "rlcont":
        labels = {each.name: each.label for each in ITEMS}
        return f"{own / other:.2f} × the speed of {labels[item.compared_with]}"
    return f"**{other / own:.2f} ×** as fast"


def _quartiles(found: list[float]) -> str:
    low, _, high = statistics.quantiles(found, method="inclusive") if len(found) > 1 else found * 3
    return f"{low:.0f}–{high:.0f}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


class Reached(NamedTuple):
    """When a run came to a return."""

    steps: float
    """Steps of the first evaluation at or above it; infinite if none was."""
    length: float
    """Steps of the last evaluation."""

    def __str__(self) -> str:
        return _thousands(self.steps) if math.isfinite(self.steps) else f"not in {_thousands(self.length)}"


def steps_to_return(path: Path, threshold: float = RETURN) -> Reached:
    """When the run of this evaluations.csv came to `threshold`."""
    with path.open(newline="") as file:
        evaluations = [(float(row["step"]), float(row["return_mean"])) for row in csv.DictReader(file)]
    reached = (step for step, return_mean in evaluations if return_mean >= threshold)
    return Reached(next(reached, math.inf), evaluations[-1][0])


def time_table(rows: list[Row], docs: Path = DOCS) -> str:
    """Training time to RETURN: median steps over the runs, divided by the measured steps per second."""
    lines = [
        f"| HalfCheetah-v4 | steps to {RETURN:.0f}, by run | median | steps/s | time |",
        "|---|---|---:|---:|---:|",
    ]
    for label, patterns, item in LEARNERS:
        runs = [steps_to_return(path) for pattern in patterns for path in sorted((docs / "results").glob(pattern))]
        if not runs:
            lines.append(f"| {label} | not measured yet: docs/results/{patterns[0]} | – | – | – |")
            continue
        steps, speed = statistics.median(run.steps for run in runs), median_speed(quiet(rows), item)
        time = _hours(steps / speed) if speed and math.isfinite(steps) else "–"
        middle = _thousands(steps) if math.isfinite(steps) else "not reached"
        rate = "–" if speed is None else f"{speed:.0f}"
        lines.append(f"| {label} | {', '.join(map(str, runs))} | {middle} | {rate} ({item}) | {time} |")
    return "\n".join(lines)


def _thousands(steps: float) -> str:
    return f"{steps / 1000:.0f} k"


def _hours(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min"


def report(rows: list[Row], docs: Path = DOCS) -> str:
    """Everything between the page's markers."""
    versions = "\n".join(f"- {line}" for line in sorted({row["versions"] for row in rows if row["versions"]}))
    return "\n\n".join(
        [
            speed_tables(rows),
            f"Versions:\n\n{versions}" if versions else "No run ended well.",
            time_table(rows, docs),
        ]
    )


def _circumstances(rows: list[Row]) -> str:
    loads = [float(row["load"]) for row in quiet(rows)]
    busy = [float(row["busy_percent"]) for row in quiet(rows)]
    dates = sorted({row["date"][:10] for row in rows})
    return textwrap.fill(
        f"HalfCheetah-v4, {' to '.join(dict.fromkeys((dates[0], dates[-1])))}; windows of {_windows(rows)} steps. "
        f"Machine: {'; '.join(sorted({row['machine'] for row in rows}))}. "
        f"Load average {loads[0]:.2f} at the start, {min(loads):.2f}–{max(loads):.2f} between the runs; "
        f"in the second before each run other processes used {min(busy):.0f}–{max(busy):.0f} % of the machine.",
        100,
        break_on_hyphens=False,
    )


def _windows(rows: list[Row]) -> str:
    windows = {int(row["steps"]) // _item(row).processes for row in rows if row["steps"]}
    return " and ".join(map(str, sorted(windows))) or "no"


def replace_between_markers(page: str, text: str) -> str:
    """The page with `text` between its markers, everything else as it was.

    Raises:
        ValueError: the page has not exactly one pair of markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after or END in before:
        raise ValueError(f"the page must have one {BEGIN} and one {END} after it")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def write_page(page: Path, rows: list[Row]) -> None:
    page.write_text(replace_between_markers(page.read_text(), report(rows)))
