import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rlcont.exploration.config import DecayConfig


def test_no_decay_keeps_the_factor_at_one():
    config = DecayConfig(kind="none", final=0.1, steps=100)
    assert [config.factor(step, 1000) for step in (0, 50, 100, 5000)] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("step", "factor"), [(0, 1.0), (25, 0.8), (50, 0.6), (75, 0.4), (100, 0.2), (101, 0.2), (10_000, 0.2)]
)
def test_linear_decay_falls_by_equal_steps_and_stays_at_final(step, factor):
    config = DecayConfig(kind="linear", final=0.2, steps=100)
    assert config.factor(step, 1000) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize(
    ("step", "factor"), [(0, 1.0), (25, 0.5), (50, 0.25), (75, 0.125), (100, 0.0625), (101, 0.0625)]
)
def test_exponential_decay_falls_by_equal_ratios_and_stays_at_final(step, factor):
    config = DecayConfig(kind="exponential", final=0.0625, steps=100)
    assert config.factor(step, 1000) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize(("kind", "halfway"), [("linear", 0.505), ("exponential", 0.1)])
def test_without_steps_the_decay_takes_the_whole_run(kind, halfway):
    config = DecayConfig(kind=kind, final=0.01, steps=None)
    assert config.factor(500, 1000) == pytest.approx(halfway)
    assert config.factor(1000, 1000) == pytest.approx(0.01)


def test_a_linear_decay_to_zero_reaches_it():
    config = DecayConfig(kind="linear", final=0.0, steps=None)
    assert [config.factor(step, 1024) for step in (0, 256, 1023, 1024, 1025)] == [1, 0.75, 1 / 1024, 0, 0]


@given(
    kind=st.sampled_from(["none", "linear", "exponential"]),
    final=st.floats(1e-6, 1),
    steps=st.none() | st.integers(1, 1000),
    step=st.integers(0, 2000),
)
def test_the_factor_never_rises_and_stays_between_final_and_one(kind, final, steps, step):
    config = DecayConfig(kind=kind, final=final, steps=steps)
    now, later = config.factor(step, 1000), config.factor(step + 1, 1000)
    assert final - 1e-12 <= later <= now <= 1


def test_an_exponential_decay_to_zero_is_refused():
    with pytest.raises(ValidationError, match="final=0 is never reached"):
        DecayConfig(kind="exponential", final=0.0, steps=None)
