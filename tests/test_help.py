"""Help and completion, through the installed console script and a real bash."""

import subprocess

import pytest
import yaml
from script import SCRIPT, rlcont

from rlcont.algos.find import config_class
from rlcont.cli.commands import COMMANDS
from rlcont.config.fields import algorithm_fields, general_fields, kind_fields
from rlcont.config.names import CONFIG_DIR, algorithm, options
from rlcont.config.run import CHANGEABLE

# What --help and completion may not load.
HEAVY = ["hydra", "omegaconf", "gymnasium", "mujoco", "torch", "numpy"]


@pytest.fixture(scope="module")
def nothing_heavy(tmp_path_factory):
    """Where importing anything heavy fails."""
    folder = tmp_path_factory.mktemp("nothing_heavy")
    for name in HEAVY:
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')\n")
    return {"PYTHONPATH": str(folder)}


def said(cwd, env, *arguments):
    result = rlcont(cwd, *arguments, env=env)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "\x1b" not in result.stdout
    return result.stdout


def test_help_names_commands_options_groups_and_general_keys(tmp_path, nothing_heavy):
    text = said(tmp_path, nothing_heavy, "--help")
    assert said(tmp_path, nothing_heavy) == text
    assert text.count("\n  rlcont ") == 6
    for word in ("train ", "resume ", "eval ", "runs ", "--multirun", "--cfg", "--completion", "--version"):
        assert word in text
    for group in ("algo", "env", "noise", "experiment"):
        assert all(option in text for option in options(group))
    for field in general_fields():
        assert f"  {field.key} " in text
        assert field.meaning.split()[0] in text
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize("group", ["algo", "noise"])
def test_every_option_says_what_it_is_in_its_first_comment(tmp_path, nothing_heavy, group):
    text = " ".join(said(tmp_path, nothing_heavy, "--help").split())
    for option in options(group):
        lines = (CONFIG_DIR / group / f"{option}.yaml").read_text().splitlines()
        assert f"{option} {lines[0].removeprefix('# ').removesuffix('.')}" in text


@pytest.mark.parametrize("algo", options("algo"))
def test_the_summary_of_an_algorithm_is_a_whole_sentence(algo):
    first_line = (CONFIG_DIR / "algo" / f"{algo}.yaml").read_text().splitlines()[0]
    assert first_line.startswith("# ")
    assert first_line.endswith(".")


@pytest.mark.parametrize("algo", options("algo"))
def test_help_for_an_algorithm_has_every_field_with_range_default_and_meaning(tmp_path, nothing_heavy, algo):
    text = said(tmp_path, nothing_heavy, "--help", f"algo={algo}")
    assert all(len(line) <= 100 for line in text.splitlines())
    flat = " ".join(text.split())
    for field in algorithm_fields(algo):
        assert f"{field.key} {field.allowed}" in flat
        assert field.meaning in flat
    for name in config_class(algorithm(algo)).__pydantic_fields__:
        assert f"algo.{name}" in text
    values = yaml.safe_load((CONFIG_DIR / "algo" / f"{algo}.yaml").read_text())
    if "gamma" in values:
        assert f"algo.gamma number from 0 to 1; default {values['gamma']}" in flat


@pytest.mark.parametrize("noise", ["ou", "gaussian"])
def test_help_for_a_noise_has_its_fields(tmp_path, nothing_heavy, noise):
    flat = " ".join(said(tmp_path, nothing_heavy, "--help", f"noise={noise}").split())
    for field in kind_fields("noise", noise)[1:]:
        assert f"{field.key} {field.allowed}; default" in flat
        assert field.meaning in flat


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "train"])
def test_a_command_describes_itself_and_its_keys(tmp_path, nothing_heavy, name):
    text = said(tmp_path, nothing_heavy, name, "--help")
    command = COMMANDS[name]
    assert text.startswith(f"rlcont {name} {command.usage.splitlines()[0]}")
    assert text == said(tmp_path, nothing_heavy, "--help", name)
    assert all(len(line) <= 100 for line in text.splitlines())
    fields = [key.field for key in command.keys] + (command.fields() if command.fields else [])
    for field in fields:
        assert f"  {field.key} " in text
        assert field.meaning in " ".join(text.split())


@pytest.mark.parametrize("words", [["train", "--help"], ["help"]])
def test_other_ways_to_ask_give_the_general_help(tmp_path, nothing_heavy, words):
    assert said(tmp_path, nothing_heavy, *words) == said(tmp_path, nothing_heavy, "--help")


def test_the_help_of_resume_names_all_that_it_can_change(tmp_path, nothing_heavy):
    text = said(tmp_path, nothing_heavy, "resume", "--help")
    assert all(f"\n  {key} " in text for key in (*CHANGEABLE, "sweep.jobs", "search.trials"))


COMPLETIONS = [
    ("", {"train", "resume", "eval", "runs", "algo=", "algo.", "env=", "noise=", "seed=", "total_steps="}),
    ("--c", {"--cfg", "--completion"}),
    ("--completion ", {"bash", "zsh", "fish"}),
    ("algo=", {f"algo={name}" for name in options("algo")}),
    ("env=HalfC", {"env=HalfCheetah-v4", "env=HalfCheetah-v5"}),
    ("env=Hopper-v4 noise=", {"noise=auto", "noise=gaussian", "noise=none", "noise=ou"}),
    ("-m noise=ou,g", {"noise=ou,gaussian"}),
    (
        "algo=ddpg algo.actor.",
        {f"algo.actor.{name}=" for name in ("hidden", "activation", "layer_norm", "residual", "lr")},
    ),
    ("algo.critic.activation=s", {"algo.critic.activation=silu"}),
    ("algo.normalize_obs=", {"algo.normalize_obs=true", "algo.normalize_obs=false"}),
    ("device=c", {"device=cpu", "device=cuda"}),
    ("noise=ou noise.th", {"noise.theta="}),
    ("noise=gaussian noise.th", set()),
    ("noise=ou noise.decay.kind=", {f"noise.decay.kind={name}" for name in ("none", "linear", "exponential")}),
    ("experiment=art", {f"experiment=article/{algo}" for algo in ("a2c", "d4pg", "ddpg")}),
    ("eval o", {"outputs/Pendulum-v1/ddpg/one", "outputs/Pendulum-v1/ddpg/two"}),
    ("eval outputs/Pendulum-v1/ddpg/t", {"outputs/Pendulum-v1/ddpg/two"}),
    ("eval outputs/Pendulum-v1/ddpg/one policy=", {"policy=last", "policy=step-10"}),
    ("eval outputs/Pendulum-v1/ddpg/one ep", {"episodes="}),
    ("resume outputs/Pendulum-v1/ddpg/t", {"outputs/Pendulum-v1/ddpg/two"}),
    ("eval outputs/Pendulum-v1/ddpg/one video=", {"video=true", "video=false"}),
    ("export outputs/Pendulum-v1/ddpg/o", {"outputs/Pendulum-v1/ddpg/one"}),
    ("export outputs/Pendulum-v1/ddpg/one poli", {"policy="}),
    ("export outputs/Pendulum-v1/ddpg/one policy=", {"policy=last", "policy=step-10"}),
    ("compare outputs/Pendulum-v1/ddpg/one t", {"to=", "threshold="}),
    ("runs outputs/Pendulum-v1/ddpg/t", {"outputs/Pendulum-v1/ddpg/two"}),
    ("resume outputs/Pendulum-v1/ddpg/one check", {"checkpoint."}),
    ("resume outputs/Pendulum-v1/ddpg/one checkpoint.", {"checkpoint.every=", "checkpoint.keep="}),
    ("resume outputs/Pendulum-v1/ddpg/one device=c", {"device=cpu", "device=cuda"}),
    ("search env=Pendulum-v1 search.sampler=", {"search.sampler=tpe", "search.sampler=random"}),
    ("train noise=o", {"noise=ou"}),
]


@pytest.fixture(scope="module")
def with_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("with_runs")
    for name in ("one", "two"):
        run = folder / "outputs" / "Pendulum-v1" / "ddpg" / name
        (run / "policies").mkdir(parents=True)
        (run / "config.yaml").touch()
        for policy in ("last", "step-10"):
            (run / "policies" / f"{policy}.safetensors").touch()
    return folder


@pytest.mark.parametrize(("line", "expected"), COMPLETIONS)
def test_the_completer_answers(with_runs, nothing_heavy, line, expected):
    words = line.split(" ")
    answer = said(with_runs, nothing_heavy, "--candidates", *words).splitlines()
    assert expected <= set(answer)
    if line:
        assert set(answer) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [pytest.param(*each, marks=[pytest.mark.slow] if place % 6 else []) for place, each in enumerate(COMPLETIONS)],
)
def test_bash_completes_what_follows_the_last_equals_sign(with_runs, line, expected):
    typed = f"{SCRIPT} {line}"
    program = (
        'eval "$("$1" --completion bash)"\n'
        "COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDS=($2) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
        'name=$(complete -p rlcont | sed "s/.*-F \\([^ ]*\\).*/\\1/")\n'
        '"$name"\n'
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    command = ["bash", "--norc", "-c", program, "bash", SCRIPT, typed]
    result = subprocess.run(command, cwd=with_runs, capture_output=True, text=True, timeout=300)
    assert result.stderr == ""
    word = line.rpartition(" ")[2]
    kept = word[: max(word.rfind("="), word.rfind(":")) + 1]
    answer = {reply for reply in result.stdout.splitlines() if reply}
    assert {candidate.removeprefix(kept) for candidate in expected} <= answer
    if line:
        assert len(answer) == len(expected)


@pytest.mark.parametrize(
    ("shell", "parts"),
    [
        ("bash", ["complete -o default -F _rlcont rlcont", "--candidates"]),
        ("zsh", ["compdef _rlcont rlcont", "--candidates", "compadd"]),
        ("fish", ["complete --command rlcont", "--candidates", "commandline -ct"]),
    ],
)
def test_each_shell_has_a_script_that_asks_the_completer(tmp_path, nothing_heavy, shell, parts):
    script = said(tmp_path, nothing_heavy, "--completion", shell)
    assert all(part in script for part in parts)
