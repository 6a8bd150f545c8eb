"""A run that was interrupted ends as one that was not, to the last bit."""

import json
import re
import signal

import numpy as np
import pytest
import torch
from interruptions import curves, differences, train
from tiny import TINY, TINY_A2C, TINY_PPO, tiny

from rlcont.config.compose import make_plan
from rlcont.config.fields import general_fields, kind_fields
from rlcont.config.run import CHANGEABLE
from rlcont.core.errors import UserError
from rlcont.runs.checkpoint import Checkpoints, _sealed
from rlcont.runs.folder import add_to_description, description, in_use, load_config
from rlcont.runs.resume import plan_resume, scheduled_over_the_run
from rlcont.training.evaluate import Evaluator
from rlcont.training.loop import Training
from rlcont.training.run import resume

ALGORITHMS = {
    **{algo: [f"algo={algo}", *TINY] for algo in ("ddpg", "td3", "d4pg", "sac")},
    "a2c": TINY_A2C,
    "ppo": TINY_PPO,
}
"""Every algorithm is to be here."""
QUICK = ("ddpg", "a2c")
EACH = [pytest.param(algo, marks=[] if algo in QUICK else [pytest.mark.slow]) for algo in ALGORITHMS]
ALL_IT_HAS = {
    "ddpg": ["noise=ou", "algo.normalize_obs=true", "algo.normalize_reward=true"],
    "td3": ["num_envs=2"],
    "d4pg": ["noise=ou", "algo.normalize_obs=true", "algo.replay=prioritized", "num_envs=2"],
    "sac": ["algo.normalize_obs=true", "algo.replay=prioritized", "algo.n_step=2"],
    "a2c": [],
    "ppo": ["algo.target_kl=0.01"],
}
"""Settings that switch on all state an algorithm can have."""


def settings(algo, *changes):
    return tiny("tuned=none", *ALL_IT_HAS[algo], *changes, base=ALGORITHMS[algo])


@pytest.mark.parametrize(
    "env", ["Hopper-v4", *(pytest.param(env, marks=pytest.mark.slow) for env in ("Pendulum-v1", "HalfCheetah-v4"))]
)
@pytest.mark.parametrize("algo", EACH)
def test_an_interrupted_run_equals_one_that_was_not(tmp_path, algo, env):
    whole = train(settings(algo, f"env={env}", f"output={tmp_path}/whole"))
    changes = (f"env={env}", f"output={tmp_path}/parts", "checkpoint.every=70")
    parts = train(settings(algo, *changes), [74, 75, 231, 399])
    assert differences(whole, parts) == []


@pytest.mark.slow
def test_however_many_processes_step_the_environments(tmp_path):
    whole = train(settings("a2c", "num_envs=3", "workers=1", f"output={tmp_path}/whole"))
    changes = ("num_envs=3", "workers=2", f"output={tmp_path}/parts")
    parts = train(settings("a2c", *changes), [100, 250], ["workers=3"])
    assert differences(whole, parts) == []


@pytest.mark.parametrize("algo", EACH)
def test_an_evaluation_that_was_interrupted_is_played_again(tmp_path, monkeypatch, algo):
    whole = train(settings(algo, f"output={tmp_path}/whole"))
    evaluate, calls = Evaluator.__call__, []

    def interrupted(self, policy, stop):
        calls.append(len(calls))
        if calls[-1] == 1:
            signal.raise_signal(signal.SIGINT)
        return evaluate(self, policy, stop)

    monkeypatch.setattr(Evaluator, "__call__", interrupted)
    parts = train(settings(algo, f"output={tmp_path}/parts"))
    assert len(calls) == 4
    assert differences(whole, parts) == []


@pytest.mark.slow
def test_a_ring_that_went_round_is_the_same(tmp_path):
    whole = train(settings("ddpg", "algo.replay_size=90", f"output={tmp_path}/whole"))
    parts = train(settings("ddpg", "algo.replay_size=90", f"output={tmp_path}/parts"), [85, 180, 275, 333])
    assert differences(whole, parts) == []


@pytest.mark.slow
def test_what_runs_are_compared_by_sees_a_difference(tmp_path):
    one, other = (train(settings("a2c", f"seed={seed}", f"output={tmp_path}/{seed}")) for seed in (0, 1))
    found = {place.split(".")[0] for place in differences(one, other)}
    assert found == {"checkpoint", "curves", "evaluations", "policies"}
    assert "rows" in differences(*(train(settings("ddpg", f"seed={i}", f"output={tmp_path}/d{i}")) for i in (0, 1)))


@pytest.mark.parametrize("algo", EACH)
def test_what_was_logged_after_the_last_checkpoint_of_a_crash_is_logged_once(tmp_path, monkeypatch, algo):
    often = ("log.every=10", "eval.every=20", "checkpoint.every=120")
    whole = train(settings(algo, *often, f"output={tmp_path}/whole"))
    advance = Training.advance

    def crash(training):
        if training.step == 290:
            raise RuntimeError("a crash")
        advance(training)

    monkeypatch.setattr(Training, "advance", crash)
    with pytest.raises(RuntimeError):
        train(settings(algo, *often, f"output={tmp_path}/parts"))
    monkeypatch.setattr(Training, "advance", advance)
    (parts,) = tmp_path.glob("parts/*/*/*")
    assert max(step for step, _ in curves(parts)["train/action_mean"]) == 290
    resume(plan_resume(parts, []))
    assert differences(whole, parts) == []
    assert [step for step, _ in curves(parts)["train/action_mean"]] == list(range(10, 401, 10))


def test_an_environment_that_cannot_be_saved_is_named_and_goes_on_at_an_episode(tmp_path, capsys):
    env = "env=state_envs:snapshot/Opaque-v0"
    folder = train(settings("a2c", env, "algo.gamma=0.9", f"output={tmp_path}"), [126])
    said = capsys.readouterr().out
    named = "state_envs:snapshot/Opaque-v0 cannot be saved within an episode (Opaque.steps is a range_iterator)"
    assert said.count(named) == 2
    assert Checkpoints(folder, 1).steps()[-1] == 400


@pytest.mark.parametrize("steps_before", [0, 3])
def test_a2c_carries_nothing_over_an_episode_that_was_cut_off(tmp_path, monkeypatch, steps_before):
    """Rewards after the cut must not reach the rows, nor the running returns, from before it."""
    agents, advance = [], Training.advance
    monkeypatch.setattr(Training, "advance", lambda self: (agents.append(self.agent), advance(self)))
    train(settings("a2c", f"total_steps={2 * (10 + steps_before)}", "env=Pendulum-v1", f"output={tmp_path}"))
    agent = agents[-1]
    agent.cut_off(np.array([True, False]))
    if steps_before:
        assert agent.memory.tensors.ended[steps_before - 1].tolist() == [True, False]
        assert not agent.memory.tensors.ended[: steps_before - 1].any()
    else:
        assert not agent.running_return.returns[:, 0].any()
        assert agent.running_return.returns[:, 1].all()


def test_a_folder_in_use_is_locked(tmp_path):
    folder = train(settings("a2c", f"output={tmp_path}"))
    with in_use(folder):
        for action in (lambda: plan_resume(folder, ["total_steps=500"]), lambda: in_use(folder).__enter__()):
            with pytest.raises(UserError, match=rf"{folder}: in use by process \d+"):
                action()
    assert plan_resume(folder, ["total_steps=500"]) is not None


def test_a_resumed_run_computes_as_it_did(tmp_path):
    folder = train(settings("a2c", "num_envs=3", "workers=2", f"output={tmp_path}"))
    plan = plan_resume(folder, ["total_steps=500"])
    before, threads = torch.get_num_threads(), plan.threads
    assert (plan.config.workers, plan.config.compile, plan.config.precision) == (2, False, "fp32")
    assert threads == max(1, before // 2)
    assert plan_resume(folder, ["total_steps=500", "workers=1"]).config.workers == 1


def test_processes_that_are_chosen_on_the_way_are_so_in_a_resumed_run_too(tmp_path):
    folder = train(settings("a2c", "num_envs=3", "workers=auto", f"output={tmp_path}"))
    plan = plan_resume(folder, ["total_steps=500"])
    assert (plan.config.workers, plan.workers) == ("auto", 1)


def test_what_goes_on_is_recorded(tmp_path):
    folder = train(settings("ddpg", f"output={tmp_path}"))
    resume(plan_resume(folder, ["total_steps=5e2", "log.every=50"]))
    resume(plan_resume(folder, ["total_steps=600"]))
    sittings = json.loads((folder / "run.json").read_text())["resumed"]
    assert [(sitting["step"], sitting["changes"]) for sitting in sittings] == [
        (400, {"total_steps": 500, "log.every": 50}),
        (500, {"total_steps": 600}),
    ]
    config = load_config(folder)
    assert (config.total_steps, config.log.every) == (600, 50)
    with (folder / "evaluations.csv").open() as file:
        assert [line.partition(",")[0] for line in file] == ["step", "0", "200", "400", "500", "600"]


def test_packages_of_other_versions_are_told_once(tmp_path, capsys):
    folder = train(settings("a2c", f"output={tmp_path}"))
    before = description(folder)
    packages = before["packages"] | {"torch": "2.3.1", "tensorboard": "2.16", "numpy": "1.26"}
    add_to_description(folder, {"packages": packages})
    resume(plan_resume(folder, ["total_steps=500"]))
    torch_now, numpy_now = before["packages"]["torch"], before["packages"]["numpy"]
    said = f"torch 2.3.1 is {torch_now} now, numpy 1.26 is {numpy_now} now; last digits may differ from those of "
    assert said in capsys.readouterr().out
    assert description(folder)["resumed"][0]["packages"] == before["packages"]
    resume(plan_resume(folder, ["total_steps=600"]))
    assert "last digits" not in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["ddpg", "d4pg"])
def test_a_finished_run_with_more_steps_equals_one_that_began_with_them(algo, tmp_path):
    changes = ("algo.replay_size=310", "algo.priority_beta=1.0", "eval.every=100")
    whole = train(settings(algo, *changes, f"output={tmp_path}/whole"))
    short = train(settings(algo, *changes, "total_steps=200", f"output={tmp_path}/parts"))
    assert differences(whole, resume(plan_resume(short, ["total_steps=400"]))) == []


def test_what_is_scheduled_over_the_run_is_named_where_total_steps_changes(tmp_path, capsys):
    folder = train(settings("a2c", "algo.lr_decay.kind=linear", "algo.lr_decay.final=0", f"output={tmp_path}"))
    assert plan_resume(folder, ["total_steps=500"]).rescheduled == ["algo.lr_decay"]
    assert plan_resume(folder, ["total_steps=400", "log.every=50"]) is None
    resume(plan_resume(folder, ["total_steps=500"]))
    said = "algo.lr_decay: scheduled over total_steps; the numbers differ from those of a run that began with "
    assert f"{said}total_steps=500\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        (["algo.replay=prioritized"], ["algo.priority_beta"]),
        (["algo.replay=prioritized", "algo.priority_beta=1"], []),
        (["algo.replay=uniform"], []),
        (["algo.replay=uniform", "noise.decay.kind=linear"], ["noise.decay"]),
        (["algo.replay=uniform", "noise.decay.kind=linear", "noise.decay.steps=100"], []),
    ],
)
def test_schedules_over_the_run(changes, keys):
    config = make_plan(tiny("noise=ou", *changes, base=ALGORITHMS["d4pg"])).config
    assert scheduled_over_the_run(config) == keys


def test_a_finished_run_says_so(tmp_path, capsys):
    folder = train(settings("a2c", f"output={tmp_path}"))
    assert plan_resume(folder, []) is None
    assert capsys.readouterr().out.endswith("finished, with 400 steps; total_steps=N trains on\n")


def test_a_damaged_status_is_one_line_and_a_missing_one_does_not_matter(tmp_path):
    folder = train(settings("a2c", f"output={tmp_path}"))
    (folder / "status.json").write_text("{")
    with pytest.raises(UserError, match=r"status\.json: damaged"):
        plan_resume(folder, [])
    (folder / "status.json").unlink()
    assert resume(plan_resume(folder, [])) == folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train(settings("a2c", f"output={tmp_path_factory.mktemp('finished')}"))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("total_steps=399", "total_steps=399: .* is at step 400 already"),
        ("total_step=500", "total_step=500: no such key; .*did you mean total_steps"),
        ("env.infos=[x]", "env.infos=.*: no such key; .*did you mean env.info\\?$"),
        ("seed=1,2", "seed=1,2: several values make a sweep"),
        ("total_steps=many", "total_steps=many: must be a whole number"),
        ("checkpoint.keep=0", "checkpoint.keep=0: must be a whole number at least 1"),
        ("log.every=", "log.every=: must be key=value, with a value"),
    ],
)
def test_a_mistake_is_one_line(finished, typed, said):
    before = (finished / "config.yaml").read_bytes()
    with pytest.raises(UserError, match=said) as error:
        plan_resume(finished, [typed])
    assert "\n" not in str(error.value)
    assert (finished / "config.yaml").read_bytes() == before


def test_fewer_steps_than_it_has_are_told_before_what_else_does_not_fit_them(tmp_path):
    folder = train(tiny("checkpoint.every=200", f"output={tmp_path}"))
    with pytest.raises(UserError, match=r"^total_steps=50: .* is at step 400 already$"):  # Of 100 steps of warm-up.
        plan_resume(folder, ["total_steps=50"])


def test_how_a_run_is_computed_stays_as_it_was_last_typed(tmp_path):
    folder = train(settings("a2c", f"output={tmp_path}"))
    resume(plan_resume(folder, ["total_steps=500", "precision=bf16"]))
    assert plan_resume(folder, ["total_steps=600"]).config.precision == "bf16"


def test_a_run_that_cannot_be_resumed_stays_as_it_was(tmp_path, monkeypatch):
    folder = train(settings("a2c", f"output={tmp_path}"))
    before = (folder / "status.json").read_bytes()

    def record(*_):
        raise PermissionError("run.json")

    monkeypatch.setattr("rlcont.runs.resume.add_to_description", record)
    with pytest.raises(PermissionError):
        resume(plan_resume(folder, ["total_steps=500"]))
    assert (folder / "status.json").read_bytes() == before


FIXED = "algo.lr=0.1 env.wrappers=[ClipReward] env=Other noise=ou noise.sigma=0.2 actors.num=2 seed=1 eval.episodes=3"


@pytest.mark.parametrize("word", FIXED.split())
def test_a_key_that_is_part_of_the_run_is_no_misspelt_one(finished, word):
    said = rf"{re.escape(word)}: fixed for the whole run \(a part of its identity\); resume can change total_steps, .*"
    with pytest.raises(UserError, match=f"^{said}; from=RUN begins another one with it$"):
        plan_resume(finished, [word])


def test_runs_without_a_checkpoint_are_told_apart(tmp_path):
    with pytest.raises(UserError, match="no run"):
        plan_resume(tmp_path, [])
    folder = train(settings("a2c", "checkpoint.every=null", f"output={tmp_path}"))
    assert not (folder / "checkpoints").exists()
    with pytest.raises(UserError, match="it has no checkpoint to resume from"):
        plan_resume(folder, [])
    description = json.loads((folder / "run.json").read_text())
    del description["acceleration"]
    (folder / "run.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match="the run had not started; start a new one"):
        plan_resume(folder, [])


def test_every_key_that_can_change_exists():
    assert set(CHANGEABLE) <= {field.key for field in [*general_fields(), *kind_fields("actors", "ray")]}


def test_a_run_of_another_version_is_told_apart_before_its_configuration_is_read(tmp_path):
    folder = train(settings("a2c", f"output={tmp_path}"))
    for path in (folder / "checkpoints").glob("step-*/manifest.json"):
        manifest = json.loads(path.read_text())
        del manifest["sha256"]
        path.write_bytes(_sealed({**manifest, "format": 1}))
    (folder / "config.yaml").write_text("algo_name: gone\n")
    with pytest.raises(UserError, match=r"its checkpoints are those of rlcont \d+\.\d+\.\d+, which"):
        plan_resume(folder, ["total_steps=500"])
