"""The steps that gpu.sh goes through on a machine with a GPU: each with its own time limit, the most informative first.

A step that fails or hangs stops no other. The report is written anew after every stage. Of Python's own modules only:
rlcont is installed by the first step.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from gpu_rows import FILE, read

BENCHMARKS = Path(__file__).resolve().parent
TESTS = BENCHMARKS.parent / "tests"
LEAST = 5.0
"""Seconds below which no stage is begun."""
ROWS = "rows.jsonl"
KEPT_LINES = 200
"""Lines of a failed step's output that stand in the report; logs.txt has all of them."""

ALGORITHMS = {
    "a2c": ["num_envs=4", "algo.rollout_steps=16", "algo.num_minibatches=4"],
    "ppo": ["num_envs=4", "algo.rollout_steps=16", "algo.num_minibatches=4"],
    "ddpg": ["algo.warmup_steps=300"],
    "td3": ["algo.warmup_steps=300"],
    "sac": ["algo.warmup_steps=300"],
    "d4pg": ["algo.warmup_steps=300", "algo.replay=prioritized"],
}
"""Settings of the short runs."""


class Step(NamedTuple):
    """A command with a limit in seconds."""

    name: str
    command: list[str]
    limit: float


class Result(NamedTuple):
    """How a step went; `outcome` is ok, or says in a few words what it was instead."""

    step: Step
    outcome: str
    seconds: float
    output: str

    @property
    def last_line(self) -> str:
        lines = [line for line in self.output.splitlines() if line.strip()]
        return lines[-1].strip() if lines else ""


def stages(device: str, python: str, wheels: Path, scratch: Path) -> list[list[Step]]:
    """What is done one after the other; the steps of a stage run side by side."""
    wheel_files = sorted(str(path) for path in wheels.glob("*.whl"))
    pip = [python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir"]
    options = ["-vv", "--tb=short", "--show-capture=no", "-rfE", "--durations=15"]
    plugins = ["-p", "no:cacheprovider", "-p", "gpu_failures", "-n", str(min(12, os.cpu_count() or 1))]
    pytest = [python, "-m", "pytest", *options, *plugins, str(BENCHMARKS / "gpu_checks.py")]
    speed = [python, str(BENCHMARKS / "gpu_speed.py"), "--device"]
    return [
        [Step("install", [*pip, "--target", str(scratch / "site"), *wheel_files], 60)],
        [Step("machine", [python, str(BENCHMARKS / "gpu_facts.py"), device], 60)],
        [
            Step("checks", pytest, 180),
            *short_runs("Pendulum-v1", device, python, scratch),
        ],
        [Step("speed, GPU", [*speed, device, "--limit", "110"], 130)],
        short_runs("HalfCheetah-v4", device, python, scratch),
        [Step("speed, CPU", [*speed, "cpu", "--limit", "80"], 100)],
    ]


def short_runs(env: str, device: str, python: str, scratch: Path) -> list[Step]:
    """A run of each algorithm, compiled (on CUDA: recorded as a graph) and not."""
    common = ["tuned=none", "total_steps=2000", "log.every=250", "eval.every=1000", "eval.episodes=2"]
    return [
        Step(
            f"{algo} on {env}, compile={compile_}",
            [
                *(python, "-m", "rlcont", f"algo={algo}", f"env={env}", f"device={device}", f"compile={compile_}"),
                *(*common, *settings, f"output={scratch / 'runs' / compile_}"),
            ],
            90,
        )
        for algo, settings in ALGORITHMS.items()
        for compile_ in ("false", "true")
    ]


def environment(device: str, scratch: Path) -> dict[str, str]:
    """What the steps see: rlcont and the benchmarks, and a place of their own for all that is cached."""
    path = [str(scratch / "site"), str(BENCHMARKS), str(TESTS), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "DEVICE": device,
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        # The installed package is meant, wherever the command was started.
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        FILE: str(scratch / ROWS),
        "HOME": str(scratch),
        "XDG_CACHE_HOME": str(scratch / "cache"),
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "compiled"),
        "TRITON_CACHE_DIR": str(scratch / "triton"),
        # A dozen processes compile at the same time.
        "TORCHINDUCTOR_COMPILE_THREADS": "4",
        "OPENBLAS_NUM_THREADS": "1",
    }


def run_stage(steps: Sequence[Step], left: float, env: dict[str, str], folder: Path) -> list[Result]:
    """Runs steps side by side, none for longer than its limit or the `left` seconds."""
    if left < LEAST:
        return [Result(step, "left out: no time", 0, "") for step in steps]
    logs = [folder / f"{number}.log" for number in range(len(steps))]
    with ThreadPoolExecutor(len(steps)) as threads:
        return list(threads.map(lambda step, log: _run(step, min(step.limit, left), env, folder, log), steps, logs))


def _run(step: Step, limit: float, env: dict[str, str], folder: Path, log: Path) -> Result:
    start = time.monotonic()
    process = _started(step, env, folder, log)
    outcome = process if isinstance(process, str) else _ended(process, limit)
    return Result(step, outcome, time.monotonic() - start, log.read_text(errors="replace"))


def _started(step: Step, env: dict[str, str], folder: Path, log: Path) -> subprocess.Popen[bytes] | str:
    with log.open("wb") as file:
        try:
            return subprocess.Popen(
                step.command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            return f"cannot be started: {error.strerror}"


def _ended(process: subprocess.Popen[bytes], limit: float) -> str:
    """Waits for a process, `limit` seconds at most, then ends it with all that it started."""
    try:
        code = process.wait(limit)
        outcome = "ok" if code == 0 else f"exit code {code}"
    except subprocess.TimeoutExpired:
        outcome = "given up at its time limit"
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return outcome


def write_report(out: Path, facts: dict[str, Any], results: Sequence[Result], rows: list[dict[str, Any]]) -> None:
    """Writes report.md, report.json and logs.txt; `rows` are those of gpu_rows.py."""
    steps = [
        {"step": r.step.name, "outcome": r.outcome, "seconds": round(r.seconds, 1), "last line": r.last_line}
        for r in results
    ]
    commands = [
        {"step": result.step.name, "command": result.step.command, "limit": result.step.limit} for result in results
    ]
    content = facts | {"steps": steps, "commands": commands, "figures": rows}
    (out / "report.json").write_text(json.dumps(content, indent=1) + "\n")
    (out / "report.md").write_text("\n".join([overview(facts, steps, rows), *failures(results)]) + "\n")
    (out / "logs.txt").write_text("".join(f"===== {r.step.name}\n{r.output}\n" for r in results))


def overview(facts: dict[str, Any], steps: list[dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    """How every step went, and the tables of figures, as Markdown."""
    parts = ["# rlcont on a GPU", *(f"- {key}: {value}" for key, value in facts.items()), "", table(steps)]
    names = dict.fromkeys(row["table"] for row in rows)
    for name in names:
        own = [{key: value for key, value in row.items() if key != "table"} for row in rows if row["table"] == name]
        parts += ["", f"## {name}", "", table(own)]
    return "\n".join(parts)


def failures(results: Sequence[Result]) -> list[str]:
    """Command and last lines of each step that was begun and did not succeed."""
    parts = []
    for result in results:
        if result.outcome == "ok" or result.outcome.startswith("left out"):
            continue
        tail, command = result.output.splitlines()[-KEPT_LINES:], " ".join(result.step.command)
        parts += ["", f"## {result.step.name}: {result.outcome}", "", "```", command, *tail, "```"]
    return parts


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown, with every column that one of them has."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns), *([row.get(column, "") for column in columns] for row in rows)]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--wheels", type=Path, required=True, help="folder of wheels to install")
    parser.add_argument("--seconds", type=float, default=450, help="what everything may take (450)")
    parser.add_argument("--python", default=sys.executable, help="what the steps run with")
    arguments = parser.parse_args()

    start = time.monotonic()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    facts = {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "device": arguments.device,
        "python": arguments.python,
        "wheels": ", ".join(sorted(path.name for path in arguments.wheels.glob("*.whl"))),
    }
    results: list[Result] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        env = environment(arguments.device, scratch)
        for steps in stages(arguments.device, arguments.python, arguments.wheels.resolve(), scratch):
            results += run_stage(steps, arguments.seconds - (time.monotonic() - start), env, scratch)
            write_report(out, facts, results, read(scratch / ROWS))
            for result in results[-len(steps) :]:
                print(f"{result.step.name}: {result.outcome}, {result.seconds:.1f} s; {result.last_line}", flush=True)
        print((out / "report.md").read_text()[:11_000], flush=True)
    return 0 if all(result.outcome == "ok" for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
