"""A policy taken away acts as the agent does, without rlcont."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from interrupting import interrupt_once
from script import rlcont
from tiny import TINY, TINY_A2C, TINY_PPO, tiny

from rlcont.config.compose import make_plan
from rlcont.core.errors import Stopped, UserError
from rlcont.envs.box import BoxEnv
from rlcont.report import export
from rlcont.report.export import export_run
from rlcont.report.play import load_trained
from rlcont.runs.folder import load_config
from rlcont.training.run import run

POLICIES = ("gaussian", "bounded_gaussian", "squashed", "beta")
KINDS = {
    "ddpg": [*TINY, "algo.normalize_obs=true"],
    "d4pg": ["algo=d4pg", *TINY],
    "sac": ["algo=sac", *TINY, "algo.normalize_obs=true"],
    **{f"a2c-{policy}": [*TINY_A2C, f"algo.policy={policy}"] for policy in POLICIES},
    "ppo": TINY_PPO,
}

GUIDE = (Path(__file__).parent.parent / "docs/guide.md").read_text()
PLAY = next(block.partition("```")[0] for block in GUIDE.split("```python\n")[1:] if "onnxruntime" in block)
"""What the guide shows."""
ALONE = "import sys; assert not any(name.partition('.')[0] in ('rlcont', 'torch') for name in sys.modules)\n"


def train(kind, output):
    plan = make_plan(tiny(f"output={output}", "total_steps=200", "eval.every=200", base=KINDS[kind]))
    return run(plan.config, plan.choices)


EXPORTED_EACH_TIME = "ddpg"


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, marks=[] if kind == EXPORTED_EACH_TIME else [pytest.mark.slow]) for kind in KINDS],
)
def trained(request, tmp_path_factory):
    return train(request.param, tmp_path_factory.mktemp("trained"))


def spec_of(folder):
    return BoxEnv(load_config(folder).env).spec


def test_a_policy_is_loaded_without_the_replay_it_was_trained_with(trained):
    agent, _ = load_trained(load_config(trained), trained, "last", spec_of(trained))
    assert not hasattr(agent, "replay")
    assert not hasattr(agent, "critic")


def test_it_acts_as_the_agent_in_closed_loop_with_onnxruntime_alone(trained, tmp_path):
    said = export_run(trained, "last", tmp_path)
    assert "acts as the agent on 1000 recorded observations" in said
    facts = json.loads((tmp_path / "policy.json").read_text())
    assert facts["policy"]["step"] == 200
    assert (facts["low"], facts["high"]) == ([-2], [2])
    assert [(part["name"], part["size"]) for part in facts["observations"]] == [("", 3)]
    assert max(facts["largest_difference"].values()) <= 1e-5
    script = tmp_path / "play.py"
    script.write_text(PLAY.replace("HalfCheetah-v4", "Pendulum-v1").replace("seed=0", "seed=3") + ALONE)
    alone = float(
        subprocess.run([sys.executable, script], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    )
    config = load_config(trained)
    agent, _ = load_trained(config, trained, "last", spec_of(trained))
    env = BoxEnv(config.env)
    obs, total, over = env.reset(3), 0.0, False
    while not over:
        obs, reward, terminated, truncated, _ = env.step(agent.act(obs[None], explore=False)[0])
        total, over = total + reward, terminated or truncated
    assert alone == pytest.approx(total, abs=1e-3)


def test_the_exported_program_acts_the_same_on_batches_of_any_size(trained, tmp_path):
    export_run(trained, "best", tmp_path)
    program = torch.export.load(tmp_path / "policy.pt2").module()
    config = load_config(trained)
    agent, _ = load_trained(config, trained, "best", spec_of(trained))
    env = BoxEnv(config.env)
    for size in (1, 2, 7):
        obs = 3 * np.random.default_rng(size).standard_normal((size, 3)).astype(np.float32)
        expected = env.to_env(agent.act(obs, explore=False))
        np.testing.assert_allclose(program(torch.from_numpy(obs)).detach().numpy(), expected, atol=2e-5)


def test_what_acts_otherwise_is_not_kept(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match=r"policy.onnx: its actions differ from the agent's by .*; nothing was written"):
        export_run(trained, "last", tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_an_onnxscript_of_before_this_torch_is_one_line(trained, tmp_path, monkeypatch):
    def unknown(*arguments, **values):
        raise ModuleNotFoundError("No module named 'onnxscript._framework_apis.torch_9_9'")

    monkeypatch.setattr(torch.onnx, "export", unknown)
    with pytest.raises(
        UserError, match=r"^export: onnxscript \S+ does not know torch .*; pip install --upgrade"
    ) as error:
        export_run(trained, "last", tmp_path / "export")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "export").exists()


def test_ctrl_c_waits_until_all_files_are_written(trained, tmp_path, monkeypatch):
    interrupt_once(monkeypatch, export, "write_whole")
    with pytest.raises(Stopped, match=r"^interrupted$") as stopped:
        export_run(trained, "last", tmp_path / "export")
    assert stopped.value.exit_code == 130
    assert {path.name for path in (tmp_path / "export").iterdir()} == {"policy.json", "policy.onnx", "policy.pt2"}


def test_ctrl_c_while_a_policy_is_checked_leaves_nothing(trained, tmp_path, monkeypatch):
    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(export, "_write_pt2", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_run(trained, "last", tmp_path / "export")
    assert not (tmp_path / "export").exists()


@pytest.mark.slow
def test_from_the_command_line(tmp_path):
    trained = train("ddpg", tmp_path)
    result = rlcont(trained, "export", ".", "policy=200")
    assert result.returncode == 2
    assert "policy=step-200: . keeps best, last; eval.save_policies=true keeps that of each evaluation" in result.stderr
    result = rlcont(trained, "export", ".")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("export: acts as the agent")
    assert sorted(path.name for path in (trained / "export").iterdir()) == ["policy.json", "policy.onnx", "policy.pt2"]
