"""The table of results says what the runs' files say, and the campaign that makes them goes on where it was."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import ablations_table
import campaign
import numpy as np
import pytest
import results_table
import yaml
from mutations import MUTATIONS, mutated


def test_the_page_is_made_of_the_runs():
    page = (results_table.DOCS / "results/README.md").read_text()
    assert results_table.page(page, results_table.all_runs(campaign.RESULTS)) == page


def test_every_run_has_its_origin_and_a_picture():
    runs = sorted(campaign.RESULTS.glob("*/*/seed-*.csv"))
    assert len(runs) > 20
    for run in runs:
        origin = json.loads(run.with_suffix(".json").read_text())
        assert {"command", "commit", "started", "packages", "machine"} <= origin.keys()
        assert f"env={run.parts[-2]}" in origin["command"].split()
        assert (results_table.DOCS / f"images/results/{run.parts[-2]}.png").exists()


def write_run(folder, *returns, algo="ddpg", env="Hopper-v4", seed=0, state="finished"):
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps({"state": state}))
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed": seed, "env": {"id": env}}))
    packages = dict.fromkeys(("rlcont", "torch", "gymnasium", "mujoco"), "1")
    (folder / "run.json").write_text(json.dumps({"started": "today", "python": "3", "packages": packages}))
    rows = [f"{1000 * i},{value},0,0,0,0,{60 * i}" for i, value in enumerate(returns)]
    head = "step,return_mean,return_std,return_min,return_max,steps_mean,seconds"
    (folder / "evaluations.csv").write_text("\n".join([head, *rows]) + "\n")


ENTRY = {"algo": "ddpg", "env": "Hopper-v4", "seeds": [100, 102], "steps": 2000, "commit": "abc"}


def test_a_cell_by_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "RESULTS", tmp_path / "results")
    sweep = tmp_path / "ddpg/Hopper-v4/abc-2000/sweeps/one"
    for seed, last in ((100, 10.0), (101, 30.0), (102, 20.0), (103, 1000.0)):
        write_run(sweep / f"s{seed}", 0, 5, last, seed=seed)
    write_run(sweep / "s104", 0, 5, seed=104, state="running")
    campaign.keep_finished(ENTRY, tmp_path)
    runs = results_table.all_runs(tmp_path / "results")
    assert [run.seed for run in runs["Hopper-v4"]["ddpg"][2000]] == [100, 101, 102, 103]
    line = results_table.table(runs, {"Hopper-v4": {"ddpg": [7, "somebody"]}}).splitlines()[-1]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    # The mean of four; the middle two of four.
    assert cells[:5] == ["Hopper-v4", "ddpg", "2 k", "4", "**265**"]
    assert cells[6:] == ["25", "10, 20, 30, 1000", "2", "7 (somebody)"]
    low, high = (float(end) for end in cells[5].split(" to "))
    assert 10 <= low < 265 < high <= 1000


def test_falls_by_hand():
    group = [run_of(0, 2000, 999, 3000), run_of(0, 1000, 0, 1000), run_of(0, 500, 400, 800)]
    lines = results_table.stability({"HalfCheetah-v4": {"d4pg": {30_000: group}}}).splitlines()
    assert lines[2:] == ["| d4pg | 30 k | 3 | 1 of 9 | 80 % |"]


def test_a_sweep_is_begun_once_and_then_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "RESULTS", tmp_path / "results")
    begun = campaign.words(ENTRY, tmp_path)
    assert begun[0] == "-m"
    assert "seed=100,101,102" in begun
    sweep = tmp_path / "ddpg/Hopper-v4/abc-2000/sweeps/20260101-000000"
    write_run(sweep / "s101", 0, 5, 10, seed=101)
    campaign.keep_finished(ENTRY, tmp_path)
    assert campaign.missing_seeds(ENTRY) == [100, 102]
    (sweep / "sweep.json").touch()
    assert campaign.words(ENTRY, tmp_path) == ["resume", str(sweep)]


def test_a_later_entry_with_more_steps_extends_the_runs_that_are_there(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "RESULTS", tmp_path / "results")
    run = tmp_path / "ddpg/Hopper-v4/abc-2000/sweeps/one/s101"
    write_run(run, 0, 5, 10, seed=101)
    campaign.keep_finished(ENTRY, tmp_path)
    longer = ENTRY | {"steps": 3000}
    assert campaign.missing_seeds(longer) == [100, 101, 102]
    assert campaign.extensions(longer, tmp_path) == [["resume", str(run), "total_steps=3000"]]
    assert campaign.extensions(ENTRY, tmp_path) == []
    shutil.rmtree(run)
    write_run(run, 0, 5, 10, 20, seed=101)
    campaign.keep_finished(longer, tmp_path)
    assert campaign.missing_seeds(longer) == [100, 102]
    assert campaign.missing_seeds(ENTRY) == [100, 102]


COUNTS_SIGNALS = """
import signal, sys, time
counts = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: counts.append(number))
print("ready", flush=True)
while not counts:
    time.sleep(0.01)
time.sleep(1)
print("signals", len(counts), flush=True)
"""


def test_ctrl_c_reaches_the_runs_once_and_begins_no_others(tmp_path):
    train = f"campaign.train([sys.executable, '-c', {COUNTS_SIGNALS!r}], {ENTRY!r}, Path({str(tmp_path)!r}))"
    imports = "import sys; from pathlib import Path; import campaign; campaign.SECONDS_BETWEEN_LOOKS = 0.1"
    command = [sys.executable, "-c", f"{imports}; campaign.hear_interrupts(); {train}; {train}; print('the end')"]
    path = {"PYTHONPATH": str(Path(campaign.__file__).parent)}
    process = subprocess.Popen(
        command, env=os.environ | path, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)  # As a terminal does.
    assert process.communicate()[0] == "signals 1\nthe end\n"


def test_the_entries_are_complete():
    for entry in yaml.safe_load((campaign.ROOT / "benchmarks/campaign.yaml").read_text()):
        assert {"algo", "env", "seeds", "steps", "commit"} <= entry.keys()
        assert entry["seeds"][0] >= 100, "seeds below 100 have chosen settings"


def test_pictures_are_made_of_the_curves(tmp_path):
    run = results_table.Run(0, np.array([0, 1000]), np.array([0.0, 1.0]), 1.0, {})
    results_table.plot(
        "Hopper-v4", {"ddpg": {1000: [run, run._replace(returns=np.array([0.0, 2.0]))]}}, tmp_path / "a.png"
    )
    assert (tmp_path / "a.png").stat().st_size > 5000


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.new)
def test_every_mutation_still_has_a_place(mutation):
    assert mutated(mutation)


def run_of(*returns, step=10_000):
    return results_table.Run(0, np.arange(len(returns)) * step, np.array(returns, float), 1.0, {})


def test_an_arm_is_compared_at_the_same_step_and_at_the_same_time():
    standard = [run_of(0, 10, 20, 30, 40, 50, 60)]
    # Half as fast: when the standard has made all 60 k steps, the arm has made 30 k.
    slower = [run_of(0, 20, 40, 60, 80, 100, 120)]
    assert ablations_table.differences(slower, standard, 0.5) == (50, -10)
    assert ablations_table.differences(standard, slower, 2.0) == (-50, 10)
    # By the nearest evaluation: a little slower is not an evaluation behind.
    assert ablations_table.differences(slower, standard, 0.96) == (50, 50)
    assert ablations_table.differences(slower, standard, 0.9) == (50, 30)
    # Seeds are averaged first.
    assert ablations_table.differences([*standard, *slower], standard, 1.0) == (25, 25)


def test_the_table_of_ablations_by_hand():
    runs = {
        "Hopper-v4": {"default": {60_000: [run_of(0, 10, 20, 30, 40, 50, 60)]}, "slow": {60_000: [run_of(*[9] * 7)]}}
    }
    lines = ablations_table.table(
        runs, {"default": "d4pg", "slow": "d4pg", "later": "d4pg"}, {"default": 200.0, "slow": 100.0}
    ).splitlines()
    assert lines[0] == "| setting | × speed | Hopper-v4 | per step | per second |"
    assert lines[2:] == [
        "| default | 1.00 | 50 |  |  |",
        "| slow | 0.50 | 9 | -41 | -41 |",
        "",
        "Not run yet: `later`.",
    ]
    runs["Ant-v4"] = {"slow": runs["Hopper-v4"]["slow"]}
    lines = ablations_table.table(runs, {"default": "d4pg", "slow": "d4pg"}, {}).splitlines()
    assert lines == [
        "| setting | Ant-v4 | per step | Hopper-v4 | per step |",
        "|---|---:|---:|---:|---:|",
        "| default | – | – | 50 |  |",
        "| slow | 9 | – | 9 | -41 |",
    ]


def test_an_arm_is_compared_with_the_standard_of_its_own_seeds():
    first, second = run_of(*[10] * 7), run_of(*[30] * 7)._replace(seed=1)
    better = run_of(*[15] * 7)
    runs = {"Hopper-v4": {"default": {60_000: [first, second]}, "better": {60_000: [better]}}}
    lines = ablations_table.table(runs, {"default": "d4pg", "better": "d4pg"}, {}).splitlines()
    assert lines[2:] == ["| default | 20 (2 seeds) |  |", "| better | 15 | +5 |"]
    runs["Hopper-v4"]["better"] = {60_000: [better._replace(seed=2)]}
    lines = ablations_table.table(runs, {"default": "d4pg", "better": "d4pg"}, {}).splitlines()
    assert lines[3] == "| better | 15 | – |"


def test_the_page_of_ablations_is_made_of_the_runs():
    page = (results_table.DOCS / "results/ablations.md").read_text()
    assert ablations_table.page(page) == page


def test_every_arm_changes_its_standard_in_what_its_name_says():
    for entry in yaml.safe_load(ablations_table.ARMS.read_text()):
        assert {"arm", "algo", "env", "seeds", "steps", "settings", "commit"} == entry.keys()
        assert entry["seeds"][1] < 100
        changes = entry["arm"].split(",") if "=" in entry["arm"] else []
        assert all(word.endswith(change) for change, word in zip(changes, entry["settings"], strict=False))
        assert set(str(campaign.folder(entry, Path()))).isdisjoint("=,"), "output=PATH is to be one value"
    assert set(ablations_table.STANDARDS.values()) <= {
        entry["arm"] for entry in yaml.safe_load(ablations_table.ARMS.read_text()) if not entry["settings"]
    }
