"""How fast rlcont trains DDPG and A2C compared with its peers, and D4PG compared with DDPG, on this machine.

Makes an environment for each peer, runs all systems in turn, and writes docs/results/speed.csv and the tables of
docs/benchmarks.md. A part of a table is printed and leaves both as they are. In each round everything is run as it
comes, and then once more beside a process that does nothing but compute. Five rounds of DDPG take about two hours on
two cores, those of D4PG forty minutes, those of TD3 and A2C twenty each; the machine should be idle. A run is given up
when it takes longer than two minutes and its steps at 15 steps per second (A2C: 200).

    python benchmarks/speed.py                                       # everything, five rounds
    python benchmarks/speed.py --only rlcont-256 sb3-256 --rounds 3  # a part
    python benchmarks/speed.py --quiet                               # nothing beside a busy process
    python benchmarks/speed.py --rebuild                             # the tables again, from the CSV
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import itertools
import json
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from speed_report import ITEMS, PAGE, RUNS, Item, Row, algo_of, read_rows, report, write_page, write_rows

PEERS_FOLDER = Path(__file__).parent / "peers"
ENVIRONMENTS = Path(__file__).parent.parent / ".bench"
PEERS = ["sb3", "sbx", "tianshou", "rltools"]
PART = ENVIRONMENTS / "speed.csv"
"""Where the raw runs of a part of a table go, until the next part."""

START_SECONDS = 15
"""Imports and compilation, for the estimate."""


class Pace(NamedTuple):
    """How an algorithm's runs go about."""

    steps_before: int
    """Environment steps before the window: the drivers' defaults."""
    typical: float
    """Steps per second, for the estimate."""
    slowest: float
    """Steps per second below which a run is given up."""


PACES = {
    "ddpg": Pace(2000, 150, 15),
    "d4pg": Pace(2000, 150, 15),
    "td3": Pace(2000, 120, 12),
    "a2c": Pace(153_600, 10_000, 200),
}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NPROC", "PJRT_NPROC")
CPU_FLAGS = ["avx2", "avx512f", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8"]


class RunError(Exception):
    """A run or an installation that failed; the message is the last line of what it said."""


def main() -> None:
    arguments = parse_arguments()
    if arguments.rebuild:
        return write_page(arguments.page or PAGE, read_rows(arguments.csv or RUNS))
    items = chosen_items(arguments)
    halves = [0] if arguments.quiet else [0, 1]
    minutes = arguments.rounds * len(halves) * sum(estimated_seconds(item) for item in items) / 60
    if not items:
        sys.exit("nothing to run: --only and --peers leave no item")
    machine = describe_machine()
    print(f"{machine}\nload average {os.getloadavg()[0]:.2f}; about {minutes:.0f} min, installations apart", flush=True)
    missing = {system: problem for system in arguments.peers if (problem := prepare(system, items)) is not None}

    runs, page = destinations(arguments, items)
    kept = rows_of_other_algorithms(runs, items) if runs != PART else []
    rows: list[Row] = []
    for number, beside in itertools.product(range(1, arguments.rounds + 1), halves):
        with busy_processes(beside):
            for item in items:
                row = measure(item, arguments, missing.get(item.system))
                rows.append(row | {"round": number, "beside": beside, "machine": machine})
                outcome = f"failed: {row['error']}" if row["error"] else f"{row['steps_per_second']} steps/s"
                where = "beside a busy process, " if beside else ""
                before = f"{where}others used {row['busy_percent']} % before"
                count = f"{len(rows)}/{arguments.rounds * len(halves) * len(items)}"
                print(f"[{count}] {item.name}: {outcome} ({before})", flush=True)
                write_rows(runs, [*kept, *rows])
    print(report(read_rows(runs)))
    return write_page(page, read_rows(runs)) if page else None


@contextlib.contextmanager
def busy_processes(num: int) -> Iterator[None]:
    """So many processes that do nothing but compute, for as long as the context lasts."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(num)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [item.name for item in ITEMS]
    parser.add_argument("--rounds", type=int, default=5, help="times that everything is run (5)")
    parser.add_argument(
        "--steps", type=int, default=4000, help="environment steps of the window (4000); A2C's stays as it is"
    )
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="ITEM", help=", ".join(names))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, help=f"peers to run: {' '.join(PEERS)}")
    parser.add_argument("--quiet", action="store_true", help="leave out the runs beside a busy process")
    parser.add_argument("--precision", help="precision=… for rlcont's runs that say nothing of it")
    parser.add_argument("--compile", help="compile=… for rlcont's runs (true)")
    parser.add_argument("--csv", type=Path, help="where the raw runs go")
    parser.add_argument("--page", type=Path, help="the page whose tables are replaced")
    parser.add_argument("--rebuild", action="store_true", help="run nothing; write the tables from the CSV")
    return parser.parse_args()


def chosen_items(arguments: argparse.Namespace) -> list[Item]:
    """What --only and --peers leave, with the windows that --steps gives them."""
    items = [item for item in ITEMS if item.name in arguments.only and item.system in ("rlcont", *arguments.peers)]
    return [item._replace(steps=arguments.steps) if item.algo != "a2c" else item for item in items]


def destinations(arguments: argparse.Namespace, items: list[Item]) -> tuple[Path, Path | None]:
    """Where the raw runs go, and the tables, if anywhere: into docs/ what makes whole tables, unless said otherwise."""
    algos, names = {item.algo for item in items}, {item.name for item in items}
    whole = all(item.name in names for item in ITEMS if item.algo in algos)
    if arguments.csv or not whole:
        return arguments.csv or PART, arguments.page
    return RUNS, arguments.page or PAGE


def rows_of_other_algorithms(path: Path, items: list[Item]) -> list[Row]:
    """What a run of `items` leaves of the CSV: the tables that it does not touch.

    Within a table, all rows are of one run.
    """
    if not path.exists():
        return []
    algos = {item.algo for item in items}
    return [row for row in read_rows(path) if algo_of(row) not in algos]


def estimated_seconds(item: Item) -> float:
    pace = PACES[item.algo]
    return START_SECONDS + item.processes * (pace.steps_before + item.steps) / pace.typical


def describe_machine() -> str:
    """CPU model, cores, the instruction sets that matter here, memory."""
    cpu, flags = platform.processor() or platform.machine(), set[str]()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        facts = {name.strip(): value.strip() for name, _, value in lines}
        cpu, flags = facts.get("model name", cpu), set(facts.get("flags", "").split())
    found = " ".join(flag for flag in CPU_FLAGS if flag in flags) or "no AVX"
    memory = psutil.virtual_memory().total / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {found}, {memory:.0f} GiB, Python {platform.python_version()}"


def prepare(system: str, items: list[Item]) -> str | None:
    """Installs a peer's pinned requirements where they are not yet; returns what went wrong."""
    if not any(item.system == system for item in items):
        return None
    requirements = PEERS_FOLDER / "requirements" / f"{system}.txt"
    folder, ready = ENVIRONMENTS / system, ENVIRONMENTS / system / ".ready"
    if ready.exists() and ready.read_text() == requirements.read_text():
        return None
    print(f"installing {system} in {folder}", flush=True)
    install = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--requirement", requirements]
    try:
        run_command([sys.executable, "-m", "venv", "--clear", folder])
        run_command(install)
    except RunError as error:
        return f"installation: {error}"
    ready.write_text(requirements.read_text())
    return None


def measure(item: Item, arguments: argparse.Namespace, problem: str | None) -> Row:
    """One row: the item run once, with its processes side by side."""
    settings = {"precision": arguments.precision, "compile": arguments.compile} if item.system == "rlcont" else {}
    if "--precision" in item.options:
        del settings["precision"]
    given = {key: value for key, value in settings.items() if value is not None}
    row: Row = {
        "item": item.name,
        "extra": " ".join(f"{key}={value}" for key, value in given.items()),
        "busy_percent": f"{psutil.cpu_percent(interval=1):.0f}",
        "load": f"{os.getloadavg()[0]:.2f}",
        "date": datetime.datetime.now().isoformat(timespec="seconds"),
        "error": problem or "",
    }
    if problem:
        return row
    options = [*item.options, *(f"--{key}={value}" for key, value in given.items())]
    try:
        results = run_side_by_side(item, options)
    except RunError as error:
        return row | {"error": str(error)}
    steps = sum(result["steps"] for result in results)
    seconds = max(result["begin"] + result["seconds"] for result in results) - min(r["begin"] for r in results)
    versions = ", ".join(f"{name} {version}" for name, version in results[0]["versions"].items())
    return row | {
        "extra": " ".join(filter(None, [row["extra"], results[0]["chosen"]])),
        "steps": steps,
        "seconds": f"{seconds:.3f}",
        "steps_per_second": f"{steps / seconds:.1f}",
        "versions": versions,
    }


def run_side_by_side(item: Item, options: list[str]) -> list[dict[str, Any]]:
    """The results of the item's processes, which run at the same time.

    Raises:
        RunError: one of them failed.
    """
    python = sys.executable if item.system == "rlcont" else ENVIRONMENTS / item.system / "bin" / "python"
    command = [python, PEERS_FOLDER / item.driver, "--hidden", item.hidden, "--steps", item.steps, *options]
    pace = PACES[item.algo]
    limit = 120 + (pace.steps_before + item.steps) / pace.slowest
    outputs: list[str | RunError] = []

    def run(seed: int) -> None:
        try:
            outputs.append(run_command([*command, "--seed", seed], limit))
        except RunError as error:
            outputs.append(error)

    runners = [threading.Thread(target=run, args=(seed,)) for seed in range(item.processes)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    for output in outputs:
        if isinstance(output, RunError):
            raise output
    return [json.loads(str(output).splitlines()[-1]) for output in outputs]


def run_command(command: list[Any], limit: float | None = None) -> str:
    """Runs a command to its end and returns what it printed.

    Raises:
        RunError: it failed, or took longer than `limit` seconds.
    """
    ENVIRONMENTS.mkdir(exist_ok=True)
    # The caller's thread settings must not reach a run: each library is to choose by itself.
    environment = {key: value for key, value in os.environ.items() if key not in THREAD_VARIABLES}
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # MuJoCo appends its warnings to a file in the working directory.
        cwd=ENVIRONMENTS,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=limit)
    except BaseException as error:
        # The whole group: rlcont's driver has the measured command as a child.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise RunError(f"given up after {limit:.0f} s") from None
        raise
    if process.returncode != 0:
        lines = [line for line in (errors or output).splitlines() if line.strip()]
        raise RunError(lines[-1].strip() if lines else f"exit code {process.returncode}")
    return output


if __name__ == "__main__":
    main()
