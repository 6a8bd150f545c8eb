"""A run's folder."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import yaml

from rlcont.config.compose import make_plan
from rlcont.core.errors import UserError
from rlcont.runs.folder import create_run_folder, load_config
from rlcont.runs.policies import load_policy, save_policy


def composed(tmp_path, *overrides):
    plan = make_plan([f"output={tmp_path}", *overrides])
    return plan.config, plan.choices


def test_launches_in_the_same_second_never_share_a_folder(tmp_path):
    config, choices = composed(tmp_path)
    with ThreadPoolExecutor(20) as pool:
        folders = list(pool.map(lambda _: create_run_folder(tmp_path, config, choices), range(20)))
    assert len(set(folders)) == 20
    assert all((folder / "run.json").exists() for folder in folders)


def test_the_folder_tells_environment_algorithm_and_seed(tmp_path):
    folder = create_run_folder(tmp_path, *composed(tmp_path, "env=Pendulum-v1", "seed=7"))
    assert folder.parent == tmp_path / "Pendulum-v1" / "ddpg"
    assert folder.name.endswith("-s7")


def test_an_id_with_a_module_or_a_slash_makes_one_plain_folder(tmp_path):
    config, choices = composed(tmp_path)
    env = type(config.env)(id="my.module:space/Env-v0", kwargs={}, max_episode_steps=None, wrappers=(), info=())
    import dataclasses

    folder = create_run_folder(tmp_path, dataclasses.replace(config, env=env), choices)
    assert folder.parent.parent == tmp_path / "my.module-space-Env-v0"


def test_the_folder_describes_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/rlcont", "noise=ou", "env.kwargs.name=a b"])
    config, choices = composed(tmp_path, "noise=ou")
    folder = create_run_folder(tmp_path, config, choices)
    assert load_config(folder) == config
    description = json.loads((folder / "run.json").read_text())
    assert description["choices"]["tuned"] == "ddpg/HalfCheetah-v4"
    assert description["packages"].keys() >= {"rlcont", "torch", "gymnasium", "mujoco", "hydra-core"}
    assert description["command"] == "rlcont noise=ou 'env.kwargs.name=a b'"


def test_a_folder_that_cannot_be_made_is_a_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="output="):
        create_run_folder(tmp_path / "file", *composed(tmp_path / "file"))


def test_a_policy_comes_back_bit_by_bit(tmp_path):
    state = {"actor.weight": torch.randn(3, 2).T, "normalizer.count": torch.tensor(5)}
    save_policy(tmp_path, "last", state, {"step": 9})
    loaded, facts = load_policy(tmp_path, "last")
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    assert facts == {"step": 9}
    assert {path.name for path in (tmp_path / "policies").iterdir()} == {"last.safetensors", "last.json"}


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
def test_a_policy_that_cannot_be_read_or_is_damaged_is_one_line(tmp_path, suffix):
    save_policy(tmp_path, "last", {"weight": torch.ones(3)}, {"step": 9})
    file = tmp_path / "policies" / f"last.{suffix}"
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(UserError, match=r"last.safetensors: the policy or its .json is damaged \("):
        load_policy(tmp_path, "last")
    file.unlink()
    file.mkdir()  # Nobody may read that, not even root.
    with pytest.raises(UserError, match=rf"last.{suffix}: cannot be read \(Is a directory\)$"):
        load_policy(tmp_path, "last")


def test_a_missing_policy_is_told_with_those_that_are_there(tmp_path):
    save_policy(tmp_path, "best", {}, {})
    with pytest.raises(UserError, match=r"policy=lst: .* keeps best"):
        load_policy(tmp_path, "lst")


def test_a_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(UserError, match="no run"):
        load_config(tmp_path)


def test_a_run_of_before_actors_were_averaged_goes_on_without(tmp_path, capsys):
    config, choices = composed(tmp_path, "algo=d4pg")
    assert config.algo.average_rate is not None
    folder = create_run_folder(tmp_path, config, choices)
    container = yaml.safe_load((folder / "config.yaml").read_text())
    del container["algo"]["average_rate"]
    (folder / "config.yaml").write_text(yaml.safe_dump(container))
    assert load_config(folder).algo.average_rate is None
    assert "without algo.average_rate=null; these values" in capsys.readouterr().err


def test_the_networks_of_before_there_were_residual_layers_are_as_they_were(tmp_path, capsys):
    config, choices = composed(tmp_path, "algo=d4pg")
    assert config.algo.actor.residual
    folder = create_run_folder(tmp_path, config, choices)
    container = yaml.safe_load((folder / "config.yaml").read_text())
    for key in ("actor", "critic"):
        del container["algo"][key]["residual"]
    del container["algo"]["num_critics"]
    (folder / "config.yaml").write_text(yaml.safe_dump(container))
    algo = load_config(folder).algo
    assert (algo.actor.residual, algo.critic.residual, algo.num_critics) == (False, False, 1)
    assert algo.actor.layer_norm


def test_a_configuration_of_before_a_key_was_there_takes_it_from_the_algorithms_file(tmp_path, capsys):
    config, choices = composed(tmp_path, "algo.tau=0.5")
    folder = create_run_folder(tmp_path, config, choices)
    container = yaml.safe_load((folder / "config.yaml").read_text())
    del container["algorithm"], container["algo"]["n_step"], container["algo"]["critic"]["activation"]
    (folder / "config.yaml").write_text(yaml.safe_dump(container))
    assert load_config(folder) == load_config(folder) == config
    assert capsys.readouterr().err == (
        f"{folder / 'config.yaml'}: written by an older rlcont, without "
        "algo.critic.activation=relu algo.n_step=1; these values are used\n"
    )
