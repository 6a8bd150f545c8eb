"""Mutated overrides: a valid configuration or one line, and no value outside its range gets through."""

import dataclasses
import math

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from rlcont.config.compose import make_plan
from rlcont.config.run import RunConfig
from rlcont.core.errors import UserError
from rlcont.core.spelling import flat_keys, spelled

FUZZ = settings(max_examples=1000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
BASE = ["env=Pendulum-v1", "total_steps=1000000", "algo.warmup_steps=1000", "algo.replay_size=500000"]


def configure(overrides: list[str]) -> RunConfig:
    return make_plan(overrides).config


def complaint(overrides: list[str]) -> str:
    """The one line about `overrides`, empty if they are accepted; any other exception is a failure."""
    line = ""
    try:
        configure(overrides)
    except UserError as error:
        line = str(error) or "an empty line"
    assert len(line.splitlines()) == bool(line)
    assert line != "an empty line"
    return line


# Written by hand, not read from the dataclasses: lowest, highest, whether the ends count, whether it must be whole.
# 2**62 stands for no bound; those of steps and sizes follow from BASE. What is not whole is a number of 32 bits: 0, or
# from 1.2e-38 to 3.4e38 in size.
RANGES = {
    "seed": (0, 2**62, True, True),
    "total_steps": (1001, 2**62, True, True),
    "num_envs": (1, 4096, True, True),
    "env.max_episode_steps": (1, 2**62, True, True),
    "eval.every": (1, 2**62, True, True),
    "eval.episodes": (1, 100_000, True, True),
    "log.every": (1, 2**62, True, True),
    "algo.actor.lr": (0, math.inf, False, False),
    "algo.critic.lr": (0, math.inf, False, False),
    "algo.gamma": (0, 1, True, False),
    "algo.tau": (1.2e-38, 1, True, False),
    "algo.batch_size": (1, 500_000, True, True),
    "algo.replay_size": (256, 2**62, True, True),
    "algo.warmup_steps": (0, 999_999, True, True),
    "algo.updates_per_step": (1e-3, math.inf, True, False),
    "algo.max_grad_norm": (0, math.inf, False, False),
    "algo.auto_noise.sigma": (0, math.inf, True, False),
    "noise.sigma": (0, math.inf, True, False),
    "noise.theta": (0, 2, False, False),
    "noise.mu": (-math.inf, math.inf, True, False),
    "noise.decay.final": (0, 1, True, False),
    "noise.decay.steps": (1, 2**62, True, True),
}
OU = ["noise=ou", "noise.decay.kind=linear"]


def in_range(key: str, value: float) -> bool:
    low, high, ends, whole = RANGES[key]
    if not math.isfinite(value) or (whole and value != int(value)):
        return False
    if not whole and value != 0 and not 1.2e-38 <= abs(value) <= 3.4e38:
        return False
    return low <= value <= high if ends else low < value < high


@st.composite
def numeric_override(draw):
    key = draw(st.sampled_from(sorted(RANGES)))
    low, high, _, whole = RANGES[key]
    numbers = st.one_of(
        st.integers(-10, 10),
        st.floats(-5, 5).map(lambda x: round(x, 3)),
        st.sampled_from([low, high, low - 1, high * 2, low + 1, -high, 0.5, 1e-9, 10**9]),
        st.integers(int(max(low, -1e15)), int(min(high, 1e15))) if whole else st.floats(max(low, -1e3), min(high, 1e3)),
    )
    return key, draw(numbers)


@pytest.mark.slow
@FUZZ
@given(numeric_override())
def test_a_number_is_accepted_if_and_only_if_it_is_in_range(case):
    key, value = case
    typed = [override for override in BASE if not override.startswith(f"{key}=")]
    if key.startswith("noise."):
        typed += OU
    line = complaint([*typed, f"{key}={value!r}"])
    accepted = in_range(key, float(value))
    event("accepted" if accepted else "refused")
    assert (line == "") == accepted, line
    if line:
        assert key.rpartition(".")[2] in line


GOOD = flat_keys(dataclasses.asdict(make_plan([BASE[0], "noise=ou"]).config))
KEYS = [key for key in GOOD if key not in ("algo_name", "env.id", "env.kwargs", "noise.kind")]
WORDS = ["", "null", "true", "1", "-1", "0.5", "1e9", "nan", "inf", "abc", "[1,2]", "[]", "{a:1}", "'x'", '"y', "1,2"]
WORDS += [
    "${seed}",
    "${algo.gamma}",
    "${",
    "???",
    "range(3)",
    "glob(*)",
    "=1",
    " 2",
    "a=b",
    "none",
    "relu",
    "cpu",
    "é",
    "\x00",
]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)


@st.composite
def mutated(draw):
    """A good override, spoilt in key, value or shape; or a good one."""
    groups = ["algo", "noise", "experiment", "tuned", "env.kwargs.g", "algo.actor", "hydra.x"]
    key = draw(st.sampled_from([*KEYS, *KEYS, *groups]))
    value = draw(st.one_of(st.just(spelled(GOOD.get(key, "ou"))), st.sampled_from(WORDS), TEXTS))
    match draw(st.integers(0, 20)):
        case 0:
            place = draw(st.integers(0, len(key)))
            key = key[:place] + draw(st.sampled_from(["", "x", ".", "_", "@", "/", " "])) + key[place + 1 :]
        case 1:
            key = draw(st.sampled_from(["+", "++", "~", ""])) + key
        case 2:
            key = key.upper()
        case 3:
            key = key.rpartition(".")[2]
        case 4:
            return draw(TEXTS) + "=" + value
    return f"{key}={value}"


@pytest.mark.slow
@FUZZ
@given(st.lists(mutated(), min_size=1, max_size=3))
def test_a_mutated_line_is_refused_in_one_line_or_makes_a_whole_configuration(overrides):
    typed = [BASE[0], "noise=ou", *overrides]
    refused = complaint(typed) != ""
    event("refused" if refused else "accepted")
    if refused:
        return
    config = configure(typed)
    for key, value in flat_keys(dataclasses.asdict(config)).items():
        if key in RANGES and value is not None and key != "total_steps":
            assert in_range(key, value), key
    config.algo.check_run(config.total_steps, config.num_envs, config.noise)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_refuses_a_name_and_a_list_of_names(key):
    if key not in ("output", "init", "log.wandb"):
        assert key.rpartition(".")[2] in complaint(["noise=ou", "noise.decay.kind=linear", f"{key}=nonsense"])
    if key != "env.info":
        assert complaint(["noise=ou", "noise.decay.kind=linear", f"{key}=[nonsense]"])
