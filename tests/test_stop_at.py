"""stop_at=RETURN ends a run at the first evaluation that reaches it."""

import json

import pytest
from script import rlcont as typed
from tiny import tiny

import rlcont
from rlcont.report.groups import read_curve
from rlcont.runs.resume import plan_resume
from rlcont.training.run import resume

SETTINGS = tiny("eval.every=100", "checkpoint.every=100", "algo.warmup_steps=50", "seed=1")


@pytest.fixture(scope="module")
def curve(tmp_path_factory):
    """Evaluations of a run without stop_at; the one at step 200 or 300 is better than those before."""
    run = rlcont.train(f"output={tmp_path_factory.mktemp('whole')}", *SETTINGS)
    return {int(row["step"]): row["return_mean"] for row in rlcont.evaluations(run)}


@pytest.fixture
def stopped(curve, tmp_path):
    """The step and the return of a better evaluation, and a run that stops there."""
    step = next(step for step in (200, 300) if curve[step] > max(curve[other] for other in curve if other < step))
    return step, rlcont.train(f"output={tmp_path}", f"stop_at={curve[step] - 0.01}", *SETTINGS)


def test_it_stops_there_and_says_so(curve, stopped, capsys):
    step, run = stopped
    assert {int(row["step"]): row["return_mean"] for row in rlcont.evaluations(run)} == {
        other: curve[other] for other in curve if other <= step
    }
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["step"]) == ("finished", step)
    assert status["error"].startswith("reached stop_at=-")
    assert read_curve(run).is_finished
    assert plan_resume(run, []) is None
    assert f"finished, with {step} steps (reached stop_at=" in capsys.readouterr().out


def test_it_goes_on_with_another_return_to_the_numbers_of_a_run_without(curve, stopped):
    _, run = stopped
    resume(plan_resume(run, ["stop_at=null"]))
    assert {int(row["step"]): row["return_mean"] for row in rlcont.evaluations(run)} == curve
    assert json.loads((run / "status.json").read_text())["error"] is None


def test_more_steps_do_not_outlive_it(stopped):
    step, run = stopped
    resume(plan_resume(run, ["total_steps=500"]))
    assert json.loads((run / "status.json").read_text())["step"] == step


def test_a_run_of_a_version_without_it_still_resumes(stopped):
    _, run = stopped
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text("".join(line for line in text.splitlines(True) if "stop_at" not in line))
    assert plan_resume(run, []) is not None


def test_a_wrong_one_costs_one_line(tmp_path):
    assert typed(tmp_path, "stop_at=high").stderr == "rlcont: stop_at=high: must be a number, or null\n"
