"""Sweeps: names and shares of the jobs, and whole sweeps through the installed console script."""

import csv
import dataclasses
import fcntl
import io
import json
import os
import pty
import re
import shutil
import signal
import string
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tiny import tiny
from waiting import wait_until

from rlcont.config.compose import expand_sweep
from rlcont.core.resources import MEMORY_SHARE
from rlcont.runs.labels import MAX_LENGTH
from rlcont.runs.status import StatusFile, read_status
from rlcont.sweep import shares
from rlcont.sweep.plan import job_names, varying_overrides
from rlcont.sweep.process import Job
from rlcont.sweep.shares import job_environment, jobs_at_once, parse_gpus, visible_gpus
from rlcont.sweep.show import LineShow, TableShow
from rlcont.training.interrupt import TOGETHER

SCRIPT = str(Path(sys.executable).parent / "rlcont")
TESTS = Path(__file__).parent
FATE = ["env=fate_env:Fate-v0", "total_steps=200", "eval.episodes=1", "log.every=50"]
LIVES = [f"live{i}" for i in range(3)]


def names(*jobs):
    """Names of jobs whose overrides are set apart by semicolons."""
    lists = [job.split("; ") for job in jobs]
    seeds = [int(dict(override.split("=") for override in job).get("seed", 0)) for job in lists]
    return job_names(varying_overrides(lists), seeds)


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        (["noise=ou; seed=0", "noise=gaussian; seed=1"], ["noise-ou_s0", "noise-gaussian_s1"]),
        (["seed=7; noise=ou", "seed=8; noise=none"], ["noise-ou_s7", "noise-none_s8"]),
        (["total_steps=9; seed=0", "total_steps=9; seed=1"], ["s0", "s1"]),
        (["noise=ou; seed=3"], ["s3"]),
        (["algo.actor.lr=0.001; seed=0", "algo.actor.lr=3e-05; seed=0"], ["lr-0.001", "lr-3e-05"]),
        (
            ["algo.actor.lr=0.1; algo.critic.lr=0.1", "algo.actor.lr=0.2; algo.critic.lr=0.3"],
            ["actor.lr-0.1_critic.lr-0.1", "actor.lr-0.2_critic.lr-0.3"],
        ),
        (["algo.actor.hidden=[16]", "algo.actor.hidden=[32,32]"], ["hidden-16", "hidden-32-32"]),
        (["++env.kwargs.who='a b'", "++env.kwargs.who=-1.5"], ["who-a-b", "who--1.5"]),
        (["experiment=article/ddpg", "experiment=null"], ["experiment-article-ddpg", "experiment-null"]),
        (["env=my.module:Env-v0", "env=Hopper-v4"], ["env-my.module-Env-v0", "env-Hopper-v4"]),
        (["seed=0", "seed=0"], ["s0", "s0-2"]),
        (["env.kwargs.who=a", "env.kwargs.who=A"], ["who-a", "who-A-2"]),
    ],
)
def test_a_jobs_name_is_what_differs(jobs, expected):
    assert names(*jobs) == expected


def test_paired_keys_go_together_and_the_others_make_every_combination():
    words = ["algo.actor.lr=1e-3,1e-4", "seed=0,1", "env=Hopper-v4,Walker2d-v4", "sweep.zip=[algo.actor.lr,env]"]
    jobs = [{key: value for key, _, value in (word.partition("=") for word in job)} for job in expand_sweep(words)]
    assert [(job["seed"], job["algo.actor.lr"], job["env"]) for job in jobs] == [
        ("0", "0.001", "Hopper-v4"),
        ("0", "0.0001", "Walker2d-v4"),
        ("1", "0.001", "Hopper-v4"),
        ("1", "0.0001", "Walker2d-v4"),
    ]
    assert names(*("; ".join(f"{key}={value}" for key, value in job.items()) for job in jobs))[0] == (
        "lr-0.001_env-Hopper-v4_s0"
    )


VALUES = st.one_of(st.integers().map(str), st.floats().map(str), st.text(max_size=200))
KEYS = st.sampled_from(["noise", "algo.actor.lr", "algo.critic.lr", "lr", "env.kwargs.é x", "++env.kwargs.lr", "seed"])


@given(st.lists(st.lists(st.tuples(KEYS, VALUES)), min_size=1, max_size=8))
def test_names_are_unique_plain_and_short(jobs):
    lists = [[f"{key}={value}" for key, value in job] for job in jobs]
    made = job_names(varying_overrides(lists), list(range(len(jobs))))
    assert len({name.casefold() for name in made}) == len(jobs)
    for name in made:
        assert set(name) <= set(string.ascii_letters + string.digits + "_.+-")
        assert name[0] not in "-.+"
        assert len(name) <= MAX_LENGTH + 3


def test_as_many_jobs_at_once_as_there_are_cores_or_as_was_typed(monkeypatch):
    monkeypatch.setattr(shares, "available_cores", lambda: 8)
    assert jobs_at_once("auto", 12) == 8
    assert jobs_at_once("auto", 3) == 3
    assert jobs_at_once(9, 12) == 9
    assert jobs_at_once(5, 3) == 3


def test_threads_and_memory_are_shared_out_and_a_users_own_number_of_threads_wins(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 32)
    shared = job_environment(0, 3, 8, 900, [], {"HOME": "/root"})
    assert shared == {"HOME": "/root", MEMORY_SHARE: "300", "OMP_NUM_THREADS": "2"}
    assert job_environment(0, 8, 2, 900, [], {})["OMP_NUM_THREADS"] == "1"
    assert job_environment(0, 2, 64, 900, [], {})["OMP_NUM_THREADS"] == "8"
    assert job_environment(0, 3, 8, 900, [], {"MKL_NUM_THREADS": "1"})["OMP_NUM_THREADS"] == "2"
    assert job_environment(0, 1, 8, 900, [], {"OMP_NUM_THREADS": "3"}) == {"OMP_NUM_THREADS": "3", MEMORY_SHARE: "900"}


def test_gpus_go_round():
    devices = [job_environment(slot, 5, 5, 900, ["GPU-a", "GPU-b"], {})["CUDA_VISIBLE_DEVICES"] for slot in range(5)]
    assert devices == ["GPU-a", "GPU-b", "GPU-a", "GPU-b", "GPU-a"]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [("2,5", ["2", "5"]), ("GPU-a, GPU-b", ["GPU-a", "GPU-b"]), ("", []), ("-1", []), ("0,-1,1", ["0"])],
)
def test_devices_that_are_set_already_are_those_there_are(listed, expected):
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": listed}) == expected


def test_gpus_are_known_by_their_identifiers_and_split_ones_by_their_instances():
    listing = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc)
  MIG 3g.20gb     Device  1: (UUID: MIG-dddd)
"""
    assert parse_gpus(listing) == ["GPU-aaaa", "MIG-cccc", "MIG-dddd"]
    assert parse_gpus("No devices found.\n") == []


def test_lines_about_evaluations_come_once_a_minute_at_most(tmp_path, capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("rlcont.sweep.show.time.monotonic", lambda: now[0])
    status = StatusFile(tmp_path, "running", 900).status
    job = Job(2, Path("outputs/s1"), status)
    show = LineShow(3)
    show.started(job)
    for seconds in (0, 30, 61, 62, 90, 200):
        now[0] = seconds
        job.status = dataclasses.replace(
            status, step=seconds, evaluation_step=seconds // 60 * 60, return_mean=1.0, return_std=0.5
        )
        show.refresh([job], 0)
    assert capsys.readouterr().out.splitlines() == [
        "[2/3] s1: started",
        "[2/3] s1: step 61/900, evaluation 1.0 ± 0.5",
        "[2/3] s1: step 200/900, evaluation 1.0 ± 0.5",
    ]


def test_the_live_table_of_a_long_sweep_stays_within_a_small_terminal(tmp_path):
    started = StatusFile(tmp_path, "running", 1_000_000).status
    status = dataclasses.replace(
        started, step=999_999, train_return=-123456.7, return_mean=-123456.7, return_std=9.0, steps_per_second=1e-4
    )
    jobs = [Job(i, Path(f"noise-gaussian_actor.lr-0.0003_s{i}"), status) for i in range(40)]
    screen = io.StringIO()
    console = Console(file=screen, width=80, height=24)
    console.print(TableShow(console, 60).table(jobs, 20))
    lines = screen.getvalue().splitlines()
    assert len(lines) == 22
    assert max(map(len, lines)) <= 80
    assert [re.search(r"_s\d+", line)[0] for line in lines[1:-1]] == [f"_s{i}" for i in range(20)]
    assert lines[-1] == "40 running (20 of them not shown), 20 waiting"


def start(cwd, *arguments, **options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS), "FORCE_COLOR": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([SCRIPT, *arguments], cwd=cwd, env=environment, text=True, **pipes)


def fates(*names):
    return ["-m", *tiny(*FATE, f"env.kwargs.fate={','.join(names)}")]


def status(cwd, job):
    for path in (cwd / "outputs" / "sweeps").glob(f"*/{job}/status.json"):
        return json.loads(path.read_text())
    return {}


def wait_until_running(cwd, *jobs):
    wait_until(lambda: all(status(cwd, job).get("state") == "running" for job in jobs))


def processes_in(cwd):
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(cwd) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def sweep_of_six(tmp_path_factory):
    """Two jobs are killed while they run, one raises, three go on."""
    cwd = tmp_path_factory.mktemp("six")
    with start(cwd, *fates("slow0", "slow1", "raise", *LIVES), "sweep.jobs=4") as process:
        wait_until_running(cwd, "fate-slow0", "fate-slow1")
        for job in ("fate-slow0", "fate-slow1"):
            os.kill(status(cwd, job)["pid"], signal.SIGKILL)
        output, errors = process.communicate(timeout=300)
    (folder,) = (cwd / "outputs" / "sweeps").iterdir()
    return cwd, folder, process.returncode, output, errors


@pytest.mark.slow
def test_jobs_that_die_take_no_others_along(sweep_of_six):
    cwd, folder, code, _, errors = sweep_of_six
    assert (code, errors) == (1, "")
    states = {path.name: read_status(path).state for path in folder.iterdir() if path.is_dir()}
    died = {"fate-slow0": "killed", "fate-slow1": "killed", "fate-raise": "failed"}
    assert states == died | {f"fate-{fate}": "finished" for fate in LIVES}
    assert processes_in(cwd) == []


@pytest.mark.slow
def test_every_job_leaves_a_run_in_a_folder_of_its_own(sweep_of_six):
    _, folder, _, _, _ = sweep_of_six
    description = json.loads((folder / "sweep.json").read_text())
    assert description["command"].startswith("rlcont -m algo.warmup_steps=100 ")
    assert [job["folder"] for job in description["jobs"]] == [
        f"fate-{fate}" for fate in ("slow0", "slow1", "raise", *LIVES)
    ]
    assert description["jobs"][2]["differs"] == {"env.kwargs.fate": "raise"}
    for fate in LIVES:
        job = folder / f"fate-{fate}"
        assert f"fate: {fate}\n" in (job / "config.yaml").read_text()
        assert f"env.kwargs.fate={fate}" in json.loads((job / "run.json").read_text())["overrides"]
        assert len(list(job.glob("events.out.*"))) == 1
        assert (job / "policies" / "last.safetensors").exists()
        with (job / "evaluations.csv").open() as file:
            assert [row["step"] for row in csv.DictReader(file)] == ["0", "200"]


@pytest.mark.slow
def test_piped_output_is_plain_and_ends_with_a_table(sweep_of_six):
    _, folder, _, output, _ = sweep_of_six
    assert "\x1b" not in output
    lines = output.splitlines()
    assert lines[0] == f"6 jobs, 4 at once; outputs/sweeps/{folder.name}"
    assert sum(line.endswith(": started") for line in lines) == 6
    # Of jobs that take minutes, evaluations are told between.
    assert sum(": step " not in line for line in lines) == 1 + 6 + 6 + 7 + 1
    header, *table, error = lines[-8:]
    assert re.split("  +", header) == ["job", "status", "last return", "folder"]
    rows = [re.split("  +", line) for line in table]
    assert [row[1] for row in rows] == ["killed (SIGKILL)"] * 2 + ["failed (exit code 2)"] + ["finished"] * 3
    assert {row[2] for row in rows[2:]} == {"10.0 ± 0.0"}
    assert rows[-1][3] == f"outputs/sweeps/{folder.name}/fate-live2"
    assert error.startswith("job 3: env=fate_env:Fate-v0 ")
    assert "RuntimeError: this is fate and more of it (fate_env.py, line " in error
    assert "and more of it" in (folder / "fate-raise" / "output.log").read_text()


def test_on_a_terminal_a_table_lives_within_its_width_and_ctrl_c_ends_every_job(tmp_path):
    """The first press ends the job that listens, the second the deaf one."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = start(
        tmp_path,
        *fates("slow-" + 60 * "x", "deaf", "slow0", "slow1", "slow2"),
        "sweep.jobs=2",
        **dict.fromkeys(("stdin", "stdout", "stderr"), terminal),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    seen = b""
    presses = 0
    while True:
        try:
            seen += os.read(screen, 65536)
        except OSError:  # how Linux says that nobody has the terminal open any more
            break
        logs = [path.read_text() for path in tmp_path.rglob("output.log")]
        if (presses == 0 and sum("fate has struck" in log for log in logs) == 2) or (presses == 1 and b"[1/5]" in seen):
            time.sleep(presses * TOGETHER)
            os.write(screen, b"\x03")
            presses += 1
    os.close(screen)
    assert process.wait(timeout=300) == 130
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    live, _, table = text.partition("ending 2 running jobs")
    assert "2 running, 3 waiting" in live
    assert "fate-slow-…x" in live
    assert max(len(line) for line in live.replace("\r", "\n").splitlines()) <= 80
    assert len(re.findall(r"^\d +interrupted ", table, re.MULTILINE)) == 2
    assert len(re.findall(r"^\d +not started ", table, re.MULTILINE)) == 3
    assert processes_in(tmp_path) == []
    assert {read_status(path.parent).state for path in tmp_path.rglob("status.json")} == {"interrupted", "not started"}


def test_a_request_to_end_that_reaches_a_process_in_two_ways_costs_no_checkpoint(tmp_path):
    """Slurm and systemd tell a job themselves, and its sweep tells it as well."""
    words = tiny("seed=0,1", "total_steps=1e6", "eval.every=1e6", "checkpoint.every=1e6", "compile=false")
    with start(tmp_path, "-m", *words, "sweep.jobs=2") as process:
        wait_until(lambda: sum("steps/s" in log.read_text() for log in tmp_path.rglob("output.log")) == 2)
        for each in processes_in(tmp_path):
            each.terminate()
            each.send_signal(signal.SIGINT)
        assert process.wait(timeout=300) in (130, 143)
    logs = [log.read_text() for log in tmp_path.rglob("output.log")]
    steps = {int(re.search(r"^rlcont: interrupted at step (\d+); ", log, re.MULTILINE)[1]) for log in logs}
    assert {int(path.name[5:]) for path in tmp_path.rglob("step-*")} == steps


def test_sigterm_ends_jobs_that_have_only_just_begun(tmp_path):
    with start(tmp_path, *fates("slow0", "slow1"), "sweep.jobs=1") as process:
        while ": started" not in process.stdout.readline():
            assert process.poll() is None
        (deleted,) = tmp_path.glob("outputs/sweeps/*/fate-slow1")
        shutil.rmtree(deleted)
        process.terminate()
        output, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (143, "")
    assert len(re.findall(r"^\d +(interrupted|not started) ", output, re.MULTILINE)) == 2
    assert processes_in(tmp_path) == []


@pytest.mark.slow
def test_a_sweep_that_is_killed_leaves_no_job_behind(tmp_path):
    with start(tmp_path, *fates("slow0", "slow1", "slow2"), "sweep.jobs=2") as process:
        wait_until_running(tmp_path, "fate-slow0", "fate-slow1")
        process.kill()
        process.communicate(timeout=300)
    wait_until(lambda: processes_in(tmp_path) == [])
    states = {path.parent.name: read_status(path.parent).state for path in tmp_path.rglob("status.json")}
    assert states == {"fate-slow0": "interrupted", "fate-slow1": "interrupted", "fate-slow2": "killed"}
