"""Groups of runs side by side: every figure against one computed in another way."""

import csv
import itertools
import json
import math
import shutil
import statistics

import numpy as np
import pytest
from difference import difference_interval
from hypothesis import given
from hypothesis import strategies as st
from interrupting import interrupt_once
from interruptions import train
from script import rlcont
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_listing import make_run
from tiny import TINY_A2C, tiny

from rlcont.cli import actions
from rlcont.core.errors import Stopped, UserError
from rlcont.report import compare as compare_module
from rlcont.report.aggregate import area_under_curve, bootstrap_interval, interquartile_mean, steps_to
from rlcont.report.compare import compare, figures
from rlcont.report.groups import group_runs
from rlcont.runs.evaluations import STATISTICS
from rlcont.runs.labels import MAX_LENGTH


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_the_interquartile_mean_is_that_of_the_middle_half_of_four_copies(values):
    # Of four copies of each value a whole number makes the middle half.
    copies = sorted(4 * values)
    middle = copies[len(values) : 3 * len(values)]
    assert interquartile_mean(np.array(values)) == pytest.approx(statistics.mean(middle), rel=1e-9, abs=1e-6)


def test_the_interval_of_a_difference_of_pairs_is_that_of_its_sixteen_draws():
    first, second = np.array([7.0, 6.0]), np.array([7.5, 7.0])
    # Each mean is one of three, half, a quarter and a quarter of the time; the outermost gaps come one time in sixteen.
    low, high = difference_interval(first, second)
    assert (low, high) == (6.0 - 7.5, 7.0 - 7.0)
    assert difference_interval(first[:1], second[:1]) == (-0.5, -0.5)


def test_the_bootstrap_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(150):
        low, high = bootstrap_interval(rng.standard_normal(20))
        covered += low <= 0 <= high
    # A percentile interval of so few values is known to be somewhat short.
    assert 0.87 < covered / 150 < 0.98
    low, high = bootstrap_interval(np.array([3.0]))
    assert low == high == 3


def test_the_bootstrap_of_a_curve_is_that_of_each_of_its_points():
    values = np.random.default_rng(0).standard_normal((7, 3))
    low, high = bootstrap_interval(values)
    for point in range(3):
        assert (low[point], high[point]) == pytest.approx(bootstrap_interval(values[:, point]))


def test_area_and_steps_to_a_threshold_by_hand():
    steps, returns = np.array([0, 10, 30]), np.array([0.0, 4.0, 2.0])
    assert area_under_curve(steps, returns) == pytest.approx((20 + 60) / 30)
    assert area_under_curve(steps[:1], returns[:1]) == 0
    assert [steps_to(goal, steps, returns) for goal in (-1, 0, 0.1, 4, 4.1)] == [0, 0, 10, 10, math.inf]


def with_evaluations(folder, returns, every=100):
    with (folder / "evaluations.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *STATISTICS, "seconds"])
        for number, value in enumerate(returns):
            writer.writerow([number * every, value, 1, value - 1, value + 1, 200, 2.0 * number])
    return folder


@pytest.fixture
def outputs(tmp_path):
    """Two groups on one environment, one on another, and a folder of something else."""
    for seed, returns in ((0, [0, 5, 10]), (1, [0, 7, 20]), (2, [0, 9, 8])):
        with_evaluations(make_run(tmp_path, "total_steps=200", f"seed={seed}"), returns)
    with_evaluations(make_run(tmp_path, "total_steps=200", "seed=0", "algo.tau=0.1"), [0, 30, 25, 25])
    with_evaluations(make_run(tmp_path, "total_steps=200", "seed=5", "algo.tau=0.1"), [0, 20, 30, 35])
    with_evaluations(make_run(tmp_path, "total_steps=200", "env=HalfCheetah-v4", "seed=3"), [-4, -3], every=200)
    (tmp_path / "outputs" / "other").mkdir()
    return tmp_path / "outputs"


def test_runs_that_differ_in_their_seed_alone_are_a_group(outputs):
    groups = group_runs([outputs])
    found = {(group.env, group.label): sorted(curve.run.config["seed"] for curve in group.curves) for group in groups}
    assert found == {
        ("HalfCheetah-v4", "ddpg"): [3],
        ("Pendulum-v1", "ddpg tau=0.005"): [0, 1, 2],
        ("Pendulum-v1", "ddpg tau=0.1"): [0, 5],
    }
    # A run that is named twice counts once.
    again = group_runs([outputs, outputs / "Pendulum-v1"])
    assert [len(group.curves) for group in again] == [len(group.curves) for group in groups]


def test_a_run_behind_a_link_or_copied_counts_once(outputs, capsys):
    numbers = [len(group.curves) for group in group_runs([outputs])]
    link = outputs.parent / "link"
    link.symlink_to(outputs)
    assert [len(group.curves) for group in group_runs([link, outputs])] == numbers
    copy = shutil.copytree(outputs, outputs.parent / "copy")
    assert [len(group.curves) for group in group_runs([outputs, copy])] == numbers
    assert capsys.readouterr().err.count(": left out, the same run as ") == sum(numbers)


def test_a_run_that_was_made_again_counts_once(tmp_path, capsys):
    outputs = [tmp_path / name for name in ("first", "second")]
    for output in outputs:
        train(tiny(f"output={output}", "eval.every=100", "tuned=none", base=TINY_A2C))
    (group,) = group_runs(outputs)
    assert [curve.run.folder.is_relative_to(outputs[0]) for curve in group.curves] == [True]
    assert f"{outputs[1]}/" in capsys.readouterr().err.splitlines()[-1].partition(": left out, the same run as ")[0]


def test_a_run_that_cannot_be_read_is_named(outputs, capsys):
    damaged = next(outputs.glob("HalfCheetah-v4/*/*"))
    (damaged / "status.json").write_text("{")
    assert {group.env for group in group_runs([outputs])} == {"Pendulum-v1"}
    assert capsys.readouterr().err == f"{damaged}: left out, its description or status cannot be read\n"


def test_groups_that_differ_in_more_than_a_file_name_can_hold(outputs, tmp_path):
    settings = [f"algo.actor.hidden={[64] * 30}", f"algo.critic.hidden={[64] * 30}"]
    for tau in (0.01, 0.02):
        with_evaluations(make_run(tmp_path, "total_steps=200", *settings, f"algo.tau={tau}"), [0, 5, 10])
    compare([outputs], tmp_path / "to", None)
    names = [path.parent.name for path in (tmp_path / "to" / "Pendulum-v1").glob("*/events*")]
    assert len(names) == len(set(names)) == 4
    assert sorted(map(len, names))[-1] <= MAX_LENGTH + 2


def test_keys_that_do_not_change_what_is_learned_make_no_groups(tmp_path):
    for seed, word in enumerate(["log.every=50", "eval.every=100", "eval.episodes=3", "threads=1", "env.info=[x]"]):
        with_evaluations(make_run(tmp_path, "total_steps=200", f"seed={seed}", word), [0, 1, 2])
    ((env, label),) = ((group.env, group.label) for group in group_runs([tmp_path / "outputs"]))
    assert (env, label) == ("Pendulum-v1", "ddpg")


@pytest.mark.slow
def test_without_a_folder_a_comparison_is_written_beside_outputs(outputs, tmp_path):
    result = rlcont(tmp_path, "compare", "outputs")
    assert result.returncode == 0, result.stderr
    assert len(list(tmp_path.glob("comparisons/*/groups.csv"))) == 1
    assert not (outputs / "comparisons").exists()


def test_the_figures_by_hand(outputs):
    _, three, two = figures(group_runs([outputs]), threshold=None)
    assert (three.runs, three.steps, three.seconds) == (3, 200, 4)
    assert three.last == pytest.approx((10 + 20 + 8) / 3)
    assert three.median == 10
    # The middle half of three: half of the lowest's and the highest's neighbours' shares.
    assert three.interquartile_mean == pytest.approx((8 * 0.25 + 10 + 20 * 0.25) / 1.5)
    assert three.best == pytest.approx((10 + 20 + 9) / 3)
    assert three.over_training == pytest.approx(((2.5 + 7.5) / 2 + (3.5 + 13.5) / 2 + (4.5 + 8.5) / 2) / 3)
    # The means of all draws of three.
    means = sorted((a + b + c) / 3 for a in (10, 20, 8) for b in (10, 20, 8) for c in (10, 20, 8))
    assert three.low == np.quantile(means, 0.025, method="inverted_cdf") == 8
    assert three.high == np.quantile(means, 0.975, method="inverted_cdf") == 20
    assert two.threshold == three.threshold == pytest.approx(0.9 * 30)
    assert (two.steps_to_threshold, two.reached) == (150, 2)
    assert (three.steps_to_threshold, three.reached) == (math.inf, 0)
    assert (two.steps, two.unfinished) == (300, 0)
    assert figures(group_runs([outputs]), threshold=9.5)[1].steps_to_threshold == 200


def test_tables_and_pictures_are_left_behind(outputs, tmp_path, capsys):
    to = tmp_path / "compared"
    compare([outputs], to, None)
    printed = capsys.readouterr().out
    assert "ddpg tau=0.1" in printed
    assert "150 steps to 27 (2 of 2)" in printed
    assert printed.count("(both runs)") == 1
    assert (to / "groups.md").read_text().count("\n") == 5
    with (to / "groups.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["last"]) for row in rows] == [-3, 38 / 3, 30]
    with (to / "runs.csv").open() as file:
        assert sorted(row["seed"] for row in csv.DictReader(file)) == ["0", "0", "1", "2", "3", "5"]
    for env in ("Pendulum-v1", "HalfCheetah-v4"):
        for name in (f"curves-{env}", f"aggregates-{env}"):
            assert (to / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
            assert "</svg>" in (to / f"{name}.svg").read_text()
    compare([outputs], to, None)
    assert len(list((to / "Pendulum-v1" / "ddpg-tau=0.1").iterdir())) == 1


def test_ctrl_c_waits_until_all_is_written(outputs, tmp_path, monkeypatch):
    interrupt_once(monkeypatch, compare_module, "_write_csv")
    with pytest.raises(Stopped, match=r"^interrupted$") as stopped:
        compare([outputs], tmp_path / "to", None)
    assert stopped.value.exit_code == 130
    assert {path.name for path in (tmp_path / "to").glob("*.png")} == {
        f"{kind}-{env}.png" for kind in ("aggregates", "curves") for env in ("Pendulum-v1", "HalfCheetah-v4")
    }


@pytest.fixture
def unfinished(outputs, tmp_path):
    """Beside them a run that failed before its first step, one that lost its last rows, one that has no evaluation, and
    a group of which no run is finished.
    """
    failed = with_evaluations(make_run(tmp_path, "total_steps=200", "seed=6"), [-1000])
    short = with_evaluations(make_run(tmp_path, "total_steps=200", "seed=7"), [0, 1])
    empty = make_run(tmp_path, "total_steps=200", "seed=8")
    alone = with_evaluations(make_run(tmp_path, "total_steps=200", "seed=0", "algo.tau=0.2"), [0, 1000])
    for folder in (failed, alone):
        status = json.loads((folder / "status.json").read_text())
        (folder / "status.json").write_text(json.dumps({**status, "state": "failed"}))
    return outputs, failed, short, empty, alone


def test_runs_that_are_not_finished_are_shown_and_count_in_no_figure(unfinished, tmp_path, capsys):
    outputs, failed, short, empty, alone = unfinished
    found = {own.group: own for own in figures(group_runs([outputs]), threshold=None)}
    three, lone = found["ddpg tau=0.005"], found["ddpg tau=0.2"]
    assert (three.runs, three.unfinished, three.last, three.threshold) == (3, 3, pytest.approx(38 / 3), 27)
    assert (lone.runs, lone.unfinished, lone.steps) == (0, 1, 100)
    assert math.isnan(lone.last)
    compare([outputs], tmp_path / "to", None)
    printed = capsys.readouterr().out.splitlines()
    (left_out,) = (line for line in printed if "tau=0.005: left out: " in line)
    assert f"{failed} (failed, evaluated up to step 0)" in left_out
    assert f"{short} (finished, evaluated up to step 100)" in left_out
    assert f"{empty} (finished, without an evaluation)" in left_out
    assert f"Pendulum-v1, ddpg tau=0.2: left out: {alone} (failed, evaluated up to step 100)" in printed
    assert any(line.split()[1:4] == ["0", "of", "1"] and line.endswith("ddpg tau=0.2") for line in printed)
    with (tmp_path / "to" / "runs.csv").open() as file:
        counted = {row["folder"]: row["counted"] for row in csv.DictReader(file)}
    assert {path for path, word in counted.items() if word == "no"} == set(map(str, (failed, short, empty, alone)))
    assert len(counted) == 10


def test_where_no_run_is_finished_curves_are_drawn_all_the_same(tmp_path):
    folder = with_evaluations(make_run(tmp_path, "total_steps=200"), [0, 1])
    (folder / "status.json").unlink()
    compare([folder], tmp_path / "to", None)
    assert (tmp_path / "to" / "curves-Pendulum-v1.svg").exists()
    assert not (tmp_path / "to" / "aggregates-Pendulum-v1.svg").exists()
    (folder / "evaluations.csv").unlink()
    with pytest.raises(UserError, match="no run in it has an evaluation"):
        compare([folder], tmp_path / "to", None)


def test_what_cannot_be_written_is_said(outputs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"to=.*file/x: cannot be written \(Not a directory\)"):
        compare([outputs], tmp_path / "file" / "x", None)
    with pytest.raises(UserError, match=r"^to=.*file: is a file; name a folder$"):
        actions.compare(outputs, to=tmp_path / "file", threshold=None)


def scalars(folder, tag):
    (path,) = folder.glob("events.out.tfevents.*")
    accumulator = EventAccumulator(str(path), size_guidance={"scalars": 0})
    accumulator.Reload()
    return {event.step: event.value for event in accumulator.Scalars(tag)}


def test_aggregates_equal_a_computation_from_the_raw_event_files(tmp_path):
    """Of runs that were really made, and TensorBoard's curves too."""
    for seed in range(3):
        words = (f"output={tmp_path / 'outputs'}", f"seed={seed}", "eval.every=100", "tuned=none")
        train(tiny(*words, base=TINY_A2C))
    result = rlcont(tmp_path, "compare", "outputs", "to=compared")
    assert result.returncode == 0, result.stderr
    curves = [scalars(path.parent, "eval/return") for path in sorted(tmp_path.glob("outputs/*/*/*/events*"))]
    steps = sorted(curves[0])
    assert len(curves) == 3
    returns = np.array([[curve[step] for step in steps] for curve in curves])
    with (tmp_path / "compared" / "groups.csv").open() as file:
        (row,) = csv.DictReader(file)
    last = returns[:, -1]
    draws = np.random.default_rng(0).multinomial(3, [1 / 3] * 3, size=10_000)
    draws = np.stack([np.repeat([0, 1, 2], times) for times in draws])
    low, high = np.quantile(last[draws].mean(1), [0.025, 0.975])
    areas = [sum((b + a) / 2 * 100 for a, b in itertools.pairwise(curve)) / 400 for curve in returns]
    goal = returns[:, 0].mean() + 0.9 * (last.mean() - returns[:, 0].mean())
    expected = {
        "last": last.mean(),
        "low": low,
        "high": high,
        "median": sorted(last)[1],
        "best": returns.max(1).mean(),
        "over_training": np.mean(areas),
        "threshold": goal if goal > returns[:, 0].mean() else math.nan,
        "interquartile_mean": (0.25 * min(last) + sorted(last)[1] + 0.25 * max(last)) / 1.5,
    }
    for name, value in expected.items():
        assert float(row[name]) == pytest.approx(value, rel=1e-9, nan_ok=True), name
    (group,) = (tmp_path / "compared" / "Pendulum-v1").iterdir()
    assert scalars(group, "eval/return") == pytest.approx(dict(zip(steps, returns.mean(0), strict=True)), rel=1e-6)
    lower = np.quantile(returns[draws].mean(1), 0.025, axis=0)
    assert scalars(group, "eval/return_low") == pytest.approx(dict(zip(steps, lower, strict=True)), rel=1e-6)
