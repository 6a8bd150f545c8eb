"""Searches: what is searched over, what becomes of trials, and whole searches through the installed console script."""

import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from quick import quick
from script import SCRIPT, rlcont
from tiny import tiny

from rlcont.config.compose import make_plan
from rlcont.config.run import SearchConfig
from rlcont.core.errors import UserError
from rlcont.core.spelling import flat_keys
from rlcont.runs.folder import in_use, load_config
from rlcont.runs.status import read_status
from rlcont.search.plan import plan_again, plan_search, runs_at_once
from rlcont.search.runner import _SearchRunner
from rlcont.search.space import read_space
from rlcont.search.study import Study, distribution
from rlcont.search.winner import write_tuned
from rlcont.sweep.show import LineShow

TESTS = {"PYTHONPATH": str(Path(__file__).parent)}
PUSH = tiny(
    "env=push_env:Push-v0",
    "total_steps=500",
    "eval.every=100",
    "eval.episodes=1",
    "algo.gamma=0.5",
    "algo.actor.lr=1e-6,3e-2",
    "search.sampler=random",
)
SPACE = read_space(["algo.actor.lr=interval(0,1)"])


def study(folder, **changes):
    config = {"trials": 20, "sampler": "random", "pruner": "median", "seed": 0, **changes}
    return Study(folder, SPACE, SearchConfig(**config), total_steps=900)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("interval(1e-5,1e-2)", FloatDistribution(1e-5, 1e-2)),
        ("interval(1,5)", FloatDistribution(1, 5)),
        ("tag(log,interval(1e-5,1e-2))", FloatDistribution(1e-5, 1e-2, log=True)),
        ("int(interval(16,256))", IntDistribution(16, 256)),
        ("tag(log,int(interval(16,256)))", IntDistribution(16, 256, log=True)),
        ("64,128", CategoricalDistribution(("64", "128"))),
        ("range(1,7,2)", CategoricalDistribution(("1", "3", "5"))),
        ("[16],[32,32]", CategoricalDistribution(("[16]", "[32,32]"))),
    ],
)
def test_a_space_is_written_in_hydras_grammar(value, expected):
    space = read_space([f"algo.actor.lr={value}", "algo=d4pg"])
    assert distribution(space.varied["algo.actor.lr"]) == expected
    assert space.fixed == ["algo=d4pg"]


def test_seeds_are_averaged_over_and_not_searched():
    space = read_space(["seed=3,4,3", "noise=ou,none", "algo.gamma=0.9"])
    assert (space.seeds, list(space.varied)) == (["3", "4"], ["noise"])
    assert space.overrides({"noise": "ou"}, "4") == ["algo.gamma=0.9", "noise=ou", "seed=4"]
    assert read_space(["seed=7", "noise=ou,none"]).seeds == ["7"]
    assert read_space(["noise=ou,none"]).seeds == ["0"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sweep.jobs=4"], 4),
        (["sweep.jobs=4", "seed=0,1,2"], 3),
        (["sweep.jobs=7", "seed=0,1,2"], 6),
        (["sweep.jobs=1", "seed=0,1,2"], 3),
        (["sweep.jobs=9", "search.trials=2"], 2),
    ],
)
def test_a_trial_has_room_for_all_its_seeds(words, expected):
    assert runs_at_once(plan_search(tiny("algo.gamma=0.9,0.99", *words))) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seed=0,1"], "nothing to search over"),
        (["algo.gamma=interval(0.9,0.5)"], "from the smaller number to the larger"),
        (["algo.actor.lr=tag(log,interval(0,1))"], "must begin above 0"),
        (["algo.actor.lr=tag(fast,interval(0,1))"], "the only tag is log"),
        (["env=Pendulum-v1,Hopper-v4"], "a search varies algo"),
        (["total_steps=100,200"], "a search varies algo"),
        (["algo.gamma=0.9,0.99", "seed=interval(0,3)"], "list them, as in seed=0,1,2"),
        (["algo.gamma=0.9,0.99", "hydra/launcher=basic"], "Hydra's own settings"),
        (["algo.gamma=0.9,1.5"], "algo.gamma=1.5: must be a number from 0 to 1"),
        (
            ["algo.batch_size=interval(8,16)"],
            "must be whole numbers; did you mean algo.batch_size=int(interval(8,16))?",
        ),
        (
            ["num_envs=tag(log,interval(1,4))"],
            "must be whole numbers; did you mean num_envs=tag(log,int(interval(1,4)))?",
        ),
        (["algo.actor.lr=interval(-1,1)"], "algo.actor.lr=-1.0: must be a number above 0"),
        (["algo.n_step=int(interval(1,5))", "algo.gama=0.9"], "did you mean algo.gamma?"),
        (["algo.gamma=0.9,0.99", "search.pruner=medium"], "search.pruner=medium: must be median, asha or none"),
        (["algo.gamma=0.9,0.99", "search.trials=0"], "search.trials=0: must be a whole number at least 1"),
        (["algo.gamma=0.9,0.99", "eval.every=1000", "total_steps=500"], "a search goes by evaluations"),
        (["algo.gamma=0.9,0.99", "algo.tau=0.1,0.2", "sweep.zip=[algo.gamma,algo.tau]"], "sweep.zip: does not count"),
    ],
)
def test_a_mistake_is_one_line(words, said):
    with pytest.raises(UserError, match=re.escape(said)) as error:
        plan_search(tiny(*words))
    assert "\n" not in str(error.value)


def test_the_keys_of_a_search_count_in_a_search_only(tmp_path):
    for flags in ([], ["-m"]):
        result = rlcont(tmp_path, *flags, "search.trials=3")
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
        assert "search.trials=3: counts only in a search" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_trial_is_pruned_where_it_lags_behind_the_median_of_the_others(tmp_path):
    search = study(tmp_path)
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        trial = search.ask()
        assert not search.report(trial, {300: value, 600: 2 * value})
        search.finish(trial, 2 * value)
    behind, ahead = search.ask(), search.ask()
    assert search.report(behind, {300: 2.9})
    assert not search.report(ahead, {300: 3.1})
    assert search.report(ahead, {300: 3.1, 600: 5.9})
    search.give_up(behind, "pruned")
    assert search.counts() == {"complete": 5, "pruned": 1, "failed": 0}
    assert [trial.value for trial in search.best(2)] == [10.0, 8.0]


def test_evaluations_before_a_quarter_of_the_steps_say_nothing_of_a_trial(tmp_path):
    search = study(tmp_path)
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        search.report(trial := search.ask(), {300: value})
        search.finish(trial, value)
    behind = search.ask()
    assert not search.report(behind, {200: 99.0})
    assert search.report(behind, {200: 99.0, 300: 1.5})


def test_a_trial_that_has_come_to_its_end_is_not_given_up_and_keeps_all_its_values(tmp_path):
    search = study(tmp_path)
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        search.report(trial := search.ask(), {300: value, 900: value})
        search.finish(trial, value)
    assert not search.report(search.ask(), {900: 0.5})
    last = search.ask()
    assert search.report(last, {300: 0.5, 600: 0.6, 900: 0.7})
    search.finish(last, 0.7)
    assert trials_of(tmp_path)[-1].intermediate_values == {300: 0.5, 600: 0.6, 900: 0.7}


def test_successive_halving_keeps_the_better_half_of_each_rung(tmp_path):
    search = study(tmp_path, pruner="asha")
    pruned = []
    for value in (8.0, 1.0, 2.0, 3.0, 9.0):
        trial = search.ask()
        pruned.append(search.report(trial, {300: value}))
        search.give_up(trial, "pruned")
    assert pruned == [False, True, True, False, False]


def test_without_pruning_nothing_is_cut_short(tmp_path):
    search = study(tmp_path, pruner="none")
    for value in range(10):
        trial = search.ask()
        assert not search.report(trial, {300: -value})
        search.finish(trial, -value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_a_failure(tmp_path, value):
    search = study(tmp_path)
    search.finish(search.ask(), value)
    assert search.counts() == {"complete": 0, "pruned": 0, "failed": 1}


def test_a_study_outlives_its_process(tmp_path):
    first = study(tmp_path, trials=3)
    done, begun = first.ask(), first.ask()
    first.report(done, {300: 1.0})
    first.finish(done, 1.0)
    first.report(begun, {300: 0.5})
    second = study(tmp_path, trials=3)
    (trial,) = second.interrupted_trials()
    assert (trial.number, trial.params) == (begun.number, begun.params)
    second.report(trial, {300: 0.5, 600: 0.7})
    second.finish(trial, 0.7)
    assert second.has_more
    third = second.ask()
    assert third.params not in (done.params, begun.params)
    assert trials_of(tmp_path)[trial.number].intermediate_values == {300: 0.5, 600: 0.7}
    assert not second.has_more
    assert second.best()[0].value == 1.0


def searched_in(folder, *words):
    """A search whose trials learn, or hardly do."""
    result = rlcont(folder, "search", *PUSH, "seed=0,1", *words, env=TESTS)
    assert result.returncode == 0, result.stdout + result.stderr
    (search,) = (folder / "outputs" / "searches").iterdir()
    return search, result.stdout


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """One trial of each kind."""
    return searched_in(tmp_path_factory.mktemp("searched"))


def trials_of(search):
    return optuna.load_study(study_name="search", storage=f"sqlite:///{search}/study.db").trials


@pytest.mark.slow
def test_those_that_do_not_learn_are_cut_short_and_the_best_is_one_that_does(tmp_path):
    # Eight settings, of which the last four and none before hardly learn.
    search, said = searched_in(tmp_path, "algo.critic.lr=1e-3,11e-4,12e-4,13e-4", "search.seed=6")
    trials = trials_of(search)
    assert [trial.params["algo.actor.lr"] for trial in trials] == ["0.03"] * 4 + ["1e-06"] * 4
    pruned = [trial for trial in trials if trial.state.name == "PRUNED"]
    assert pruned
    assert {trial.params["algo.actor.lr"] for trial in pruned} == {"1e-06"}
    best = max((trial for trial in trials if trial.state.name == "COMPLETE"), key=lambda trial: trial.value)
    assert best.params["algo.actor.lr"] == "0.03"
    assert best.value > 4.5  # Of 5, for pushing with all there is.
    assert f"{len(pruned)} pruned, 0 failed" in said
    for trial in pruned:
        for seed in (0, 1):
            run = search / f"trial-{trial.number:03}_s{seed}"
            assert read_status(run).state in ("pruned", "finished")
            assert f"{run.name}: pruned" in said or f"{run.name}: finished" in said
    assert any(read_status(path.parent).step < 500 for path in search.glob("trial-*/status.json"))
    assert not list(search.glob("trial-*/checkpoints"))


@pytest.mark.slow
def test_a_trials_value_is_the_mean_of_its_seeds_last_evaluations(searched):
    search, _ = searched
    for trial in trials_of(search):
        if trial.state.name != "COMPLETE":
            continue
        curves = []
        for seed in (0, 1):
            lines = (search / f"trial-{trial.number:03}_s{seed}" / "evaluations.csv").read_text().splitlines()[1:]
            curves.append({int(line.split(",")[0]): float(line.split(",")[1]) for line in lines})
        means = {step: (curves[0][step] + curves[1][step]) / 2 for step in curves[0]}
        assert trial.value == pytest.approx(means[500], abs=1e-12)
        assert trial.intermediate_values == pytest.approx(
            {step: means[step] for step in means if step >= 125}, abs=1e-12
        )


def test_the_winners_file_makes_the_run_that_won(searched):
    search, said = searched
    (path,) = search.glob("tuned/ddpg/*.yaml")
    assert f"the best settings: {path.relative_to(search.parent.parent.parent)}" in said
    text = path.read_text()
    assert text.startswith("# @package _global_\n# Source: rlcont search ")
    settings = flat_keys(yaml.safe_load(text))
    assert settings["algo.actor.lr"] == 0.03
    best = max((trial for trial in trials_of(search) if trial.value is not None), key=lambda trial: trial.value)
    won = dataclasses.asdict(load_config(search / f"trial-{best.number:03}_s0"))
    assert "total_steps" not in settings
    assert not any(key.startswith("eval.") for key in settings)
    budget = ["total_steps=500", "eval.every=100", "eval.episodes=1"]
    words = [f"{key}={value}" for key, value in settings.items()]
    plan = make_plan(["env=push_env:Push-v0", "tuned=none", "log.every=100", *budget, *words])
    assert dataclasses.asdict(plan.config) == won


@pytest.mark.parametrize(
    "noise", [["noise=ou", "noise.sigma=0.3"], ["noise=gaussian", "noise.sigma=0.2"], ["noise=none"]]
)
def test_the_noise_that_won_becomes_what_auto_stands_for(tmp_path, monkeypatch, noise):
    plan = plan_search(tiny(*noise, "algo.actor.lr=1e-3,1e-4", "tuned=none"))
    trial = optuna.trial.create_trial(
        value=-100.0,
        params={"algo.actor.lr": "1e-4"},
        distributions={"algo.actor.lr": CategoricalDistribution(("1e-3", "1e-4"))},
    )
    won = plan.run(trial.params, "0").config
    path = write_tuned(plan, tmp_path, trial, {"complete": 1})
    assert yaml.safe_load(path.read_text())["algo"]["auto_noise"]["kind"] == won.noise.kind
    monkeypatch.setenv("RLCONT_CONFIGS", str(tmp_path))
    budget = ["total_steps=400", "eval.every=200", "eval.episodes=2"]
    plan = make_plan(["env=Pendulum-v1", "log.every=100", *budget])
    assert plan.choices["tuned"] == "ddpg/Pendulum-v1"
    assert dataclasses.asdict(plan.config) == dataclasses.asdict(won)


def test_a_tuned_file_keeps_the_budget_of_the_files_that_the_search_began_from(tmp_path):
    words = ["env=Pendulum-v1", "algo.tau=0.01,0.02", "total_steps=4000", "eval.every=1000"]
    assert plan_search(words).winner({"algo.tau": "0.01"}).total_steps == make_plan(words[:1]).config.total_steps


@pytest.mark.parametrize(
    ("space", "present"),
    [
        (["algo.tau=interval(0.001,0.1)", "algo.batch_size=128,256"], {"algo.tau": 0.005, "algo.batch_size": "256"}),
        (
            ["algo.actor.lr=1e-4,1e-3", "algo.actor.hidden=[16],[256,256]"],
            {"algo.actor.lr": "0.001", "algo.actor.hidden": "[256,256]"},
        ),
        (["algo.tau=interval(0.01,0.1)"], {}),
        (["algo.normalize_obs=true,false", "noise=auto,ou"], {"algo.normalize_obs": "False", "noise": "auto"}),
        (["noise=ou,none"], {}),
        (["noise=ou", "noise.sigma=interval(0.1,0.4)"], {"noise.sigma": 0.2}),
        (["algo.auto_noise.sigma=interval(0.05,0.4)"], {"algo.auto_noise.sigma": 0.1}),
    ],
)
def test_the_present_settings_are_found_in_the_space(space, present):
    found = plan_search(["env=Hopper-v4", *space]).present()
    assert found == present


def test_the_first_trial_has_the_present_settings_and_a_resumed_search_does_not_repeat_it(tmp_path):
    first = study(tmp_path)
    first.begin_with({"algo.actor.lr": 0.375})
    trial = first.ask()
    assert trial.params == {"algo.actor.lr": 0.375}
    first.finish(trial, 1.0)
    again = study(tmp_path, trials=2)
    again.begin_with({"algo.actor.lr": 0.375})
    assert again.ask().params != {"algo.actor.lr": 0.375}
    assert not again.has_more


@pytest.mark.parametrize(
    ("words", "number"),
    quick(
        [
            (["algo.gamma=0.95,0.99"], 2),
            (["algo.gamma=interval(0.9,1)"], None),
            (["algo.n_step=int(interval(1,3))", "algo.gamma=0.95,0.99"], 6),
            (["algo.n_step=range(1,4)", "noise=ou,none"], 6),
            (["algo.n_step=int(interval(1,3))", "search.trials=2"], None),
        ],
        2,
    ),
)
def test_no_setting_is_tried_twice_where_they_can_be_counted(tmp_path, words, number):
    plan = plan_search(["env=Pendulum-v1", *words])
    every = plan.space.settings(plan.search.trials, plan.search.seed)
    assert len(every) == (number or 0)
    made = Study(tmp_path, plan.space, plan.search, 1000)
    assert made.num_trials == (number or plan.search.trials)
    made.begin_with(every[-1] if every else {})
    tried = []
    while made.has_more and number:
        tried.append(made.ask())
        made.finish(tried[-1], 1.0)
    assert sorted(map(str, every)) == sorted(str(trial.params) for trial in tried)
    again = Study(tmp_path, plan.space, plan.search, 1000)
    again.begin_with(every[-1] if every else {})
    assert again.has_more == (number is None)


@pytest.mark.slow
def test_a_trial_that_breaks_down_does_not_end_the_search(tmp_path):
    words = [word for word in PUSH if not word.startswith(("algo.actor.lr", "total_steps"))]
    result = rlcont(
        tmp_path, "search", *words, "total_steps=300", "algo.critic.lr=1e30,1e-4", "search.trials=2", env=TESTS
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (search,) = (tmp_path / "outputs" / "searches").iterdir()
    states = [(trial.params["algo.critic.lr"], trial.state.name) for trial in trials_of(search)]
    assert {state for lr, state in states if lr == "1e+30"} == {"FAIL"}
    assert {state for lr, state in states if lr == "0.0001"} <= {"COMPLETE", "PRUNED"}
    assert len({lr for lr, _ in states}) == 2
    assert "not finite" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_search_that_was_ended_goes_on(tmp_path, number):
    words = [word for word in PUSH if not word.startswith("algo.actor.lr")]
    words += ["algo.actor.lr=1e-6,2e-2,3e-2", "search.trials=2", "sweep.jobs=1", "checkpoint.every=50"]
    environment = {**os.environ, **TESTS, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([SCRIPT, "search", *words], cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as process:
        while not list(tmp_path.glob("outputs/searches/*/trial-001_s0/checkpoints/step-*")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        process.communicate()
    assert process.returncode == {signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    (search,) = (tmp_path / "outputs" / "searches").iterdir()
    done = (search / "trial-000_s0" / "evaluations.csv").read_bytes()
    proposed = [trial.params for trial in trials_of(search)]
    while read_status(search / "trial-001_s0").state == "running":
        time.sleep(0.1)
    result = rlcont(tmp_path, "resume", str(search), "search.trials=3", env=TESTS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "trial-000" not in result.stdout
    assert "from step" in (search / "trial-001_s0" / "output.log").read_text()
    assert (search / "trial-000_s0" / "evaluations.csv").read_bytes() == done
    trials = trials_of(search)
    assert [trial.params for trial in trials[:2]] == proposed
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3


def test_only_trials_and_runs_at_once_can_be_changed(tmp_path):
    (tmp_path / "search.json").write_text(json.dumps({"overrides": ["algo.gamma=0.9,0.99", "search.trials=5"]}))
    plan = plan_again(tmp_path, ["search.trials=9", "sweep.jobs=3"])
    assert (plan.search.trials, runs_at_once(plan)) == (9, 3)
    with pytest.raises(UserError, match="fixed for the whole search"):
        plan_again(tmp_path, ["total_steps=9"])
    for broken in ("{}", '{"overrides": 3}', "", "[]"):
        (tmp_path / "search.json").write_text(broken)
        with pytest.raises(UserError, match=r"search\.json: no description of a "):
            plan_again(tmp_path, [])


def test_a_search_that_runs_is_left_alone(tmp_path):
    (tmp_path / "search.json").write_text(json.dumps({"overrides": [*PUSH, "search.trials=1"]}))
    with in_use(tmp_path):
        result = rlcont(tmp_path, "resume", ".", env=TESTS)
    assert result.returncode == 2
    assert "in use by process" in result.stderr


def test_a_trial_whose_runs_all_wait_is_over_when_it_is_pruned(tmp_path, monkeypatch):
    plan = plan_search(tiny("algo.gamma=0.9,0.99", "seed=0,1", f"output={tmp_path}"))
    study = Study(tmp_path, plan.space, plan.search, 400)
    runner = _SearchRunner(plan, tmp_path, study, 2, LineShow(4))
    attempt = runner.attempt(study.ask())
    runner.attempts, runner.waiting = [attempt], list(attempt.jobs)
    monkeypatch.setattr(study, "report", lambda *_: True)
    runner.refresh()
    assert (runner.attempts, runner.waiting) == ([], [])
    assert study.counts()["pruned"] == 1
