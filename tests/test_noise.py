import copy
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rlcont.exploration.config import DecayConfig, GaussianConfig, NoNoise, OUConfig
from rlcont.exploration.noise import GaussianNoise, Noise, OrnsteinUhlenbeckNoise

TOTAL_STEPS = 100


def decay(kind="none", final=0.2):
    return DecayConfig(kind=kind, final=final, steps=None)


def gaussian(shape, sigma=0.5, kind="none", final=0.2, seed=0):
    config = GaussianConfig(kind="gaussian", sigma=sigma, decay=decay(kind, final))
    return GaussianNoise(config, shape, np.random.default_rng(seed), TOTAL_STEPS)


def ou(shape, theta=0.15, sigma=0.2, mu=0.0, dt=1.0, kind="none", final=0.2, seed=0):
    config = OUConfig(kind="ou", theta=theta, sigma=sigma, mu=mu, dt=dt, decay=decay(kind, final))
    return OrnsteinUhlenbeckNoise(config, shape, np.random.default_rng(seed), TOTAL_STEPS)


def silence(shape, seed=0):
    return Noise(NoNoise(kind="none"), shape, np.random.default_rng(seed), TOTAL_STEPS)


ALL_KINDS = [silence, gaussian, ou]


class GivenNormals:
    """Stands in for a generator whose normal numbers are known."""

    def __init__(self, *values):
        self.values = list(values)

    def standard_normal(self, shape, dtype=np.float64):
        return np.full(shape, self.values.pop(0), dtype)


def series(noise, num_steps):
    """[T, E, A]"""
    return np.stack([noise.sample(0) for _ in range(num_steps)])


def test_each_kind_of_configuration_makes_its_kind_of_noise():
    assert type(silence((1, 1))) is Noise
    assert type(gaussian((1, 1))) is GaussianNoise
    assert type(ou((1, 1))) is OrnsteinUhlenbeckNoise


@pytest.mark.parametrize("make", ALL_KINDS)
def test_a_sample_is_float32_with_a_row_per_environment(make):
    sample = make((3, 2)).sample(0)
    assert sample.shape == (3, 2)
    assert sample.dtype == np.float32


def test_no_noise_is_zero():
    noise = silence((2, 2))
    noise.reset(np.array([True, False]))
    assert (series(noise, 5) == 0).all()
    assert noise.scale(7) == 0


def test_gaussian_noise_is_sigma_times_the_generators_normals():
    normals = np.random.default_rng(3).standard_normal((4, 2), np.float32)
    np.testing.assert_allclose(gaussian((4, 2), sigma=0.3, seed=3).sample(0), 0.3 * normals, rtol=1e-6)


def test_gaussian_noise_has_mean_zero_and_its_standard_deviation():
    samples = gaussian((1000, 4), sigma=0.3).sample(0)
    assert samples.mean() == pytest.approx(0, abs=0.02)
    assert samples.std() == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize(
    ("kind", "final", "at_0", "at_50", "at_100", "at_200"),
    [
        ("none", 0.25, 0.5, 0.5, 0.5, 0.5),
        ("linear", 0.2, 0.5, 0.3, 0.1, 0.1),
        ("exponential", 0.25, 0.5, 0.25, 0.125, 0.125),
    ],
)
def test_gaussian_noise_decays_to_known_values(kind, final, at_0, at_50, at_100, at_200):
    noise = gaussian((2, 3), 0.5, kind, final)
    for step, sigma in {0: at_0, 50: at_50, 100: at_100, 200: at_200}.items():
        assert noise.scale(step) == pytest.approx(sigma)
        noise.rng = GivenNormals(2.0)
        np.testing.assert_allclose(noise.sample(step), np.full((2, 3), 2 * sigma), rtol=1e-6)


@pytest.mark.parametrize("make", [gaussian, ou])
def test_environments_and_dimensions_get_independent_noise(make):
    # Steps far enough apart for the correlation in time to have died out: 0.85^40 = 0.0015.
    samples = series(make((3, 2)), 80_000 if make is ou else 4000)
    samples = samples[::40] if make is ou else samples
    correlation = np.corrcoef(samples.reshape(len(samples), 6).T)
    assert np.abs(correlation - np.eye(6)).max() < 0.1


def test_gaussian_noise_is_independent_in_time():
    samples = series(gaussian((1, 1)), 4000).ravel()
    assert abs(np.corrcoef(samples[:-1], samples[1:])[0, 1]) < 0.06


def test_ou_noise_follows_the_recursion_computed_by_hand():
    noise = ou((2, 3), theta=0.5, sigma=0.2, mu=1.0, dt=0.25)
    noise.rng = GivenNormals(1.0, -2.0, 0.0)
    # 1 + 0.1 z; 1.1 - 0.5*0.1*0.25 - 0.2; 0.8875 + 0.5*0.1125*0.25
    for expected in (1.1, 0.8875, 0.9015625):
        np.testing.assert_allclose(noise.sample(0), np.full((2, 3), expected), rtol=1e-6)


@given(
    theta=st.floats(0.01, 1.5),
    sigma=st.just(0.0) | st.floats(1e-30, 2),
    mu=st.floats(-1, 1).filter(lambda mu: mu == 0 or abs(mu) > 1e-30),
    dt=st.floats(0.01, 1),
    seed=st.integers(0, 100),
)
def test_ou_noise_equals_a_loop_over_single_numbers(theta, sigma, mu, dt, seed):
    noise, rng = ou((2, 2), theta, sigma, mu, dt, seed=seed), np.random.default_rng(seed)
    x = [[mu, mu], [mu, mu]]
    for _ in range(5):
        for env in range(2):
            for dim in range(2):
                drift = theta * (mu - x[env][dim]) * dt
                x[env][dim] = x[env][dim] + drift + sigma * math.sqrt(dt) * rng.standard_normal()
        np.testing.assert_allclose(noise.sample(0), x, rtol=1e-5, atol=1e-6)


def test_the_first_ou_sample_is_already_pushed_away_from_mu():
    noise = ou((1, 2), sigma=0.2, mu=0.5)
    noise.rng = GivenNormals(1.0)
    np.testing.assert_allclose(noise.sample(0), [[0.7, 0.7]], rtol=1e-6)


@pytest.mark.parametrize(("dt", "push"), [(0.01, 0.02), (0.25, 0.1), (1.0, 0.2), (4.0, 0.4)])
def test_the_ou_push_grows_with_the_root_of_dt(dt, push):
    noise = ou((1, 1), sigma=0.2, dt=dt)
    noise.rng = GivenNormals(1.0)
    assert noise.sample(0).item() == pytest.approx(push, rel=1e-6)


@pytest.mark.parametrize(("dt", "kept"), [(0.01, 0.9985), (0.25, 0.9625), (1.0, 0.85), (4.0, 0.4)])
def test_the_ou_pull_grows_with_dt(dt, kept):
    noise = ou((1, 1), sigma=0.0, dt=dt)
    noise.x[:] = 1.0
    assert noise.sample(0).item() == pytest.approx(kept, rel=1e-6)


@pytest.mark.parametrize(("dt", "deviation"), [(1.0, 0.379664), (0.5, 0.372194)])
def test_ou_noise_settles_at_its_stationary_deviation(dt, deviation):
    # 0.2 / sqrt(1 - 0.85^2) and 0.2 sqrt(0.5 / (1 - 0.925^2))
    noise = ou((100, 4), dt=dt)
    samples = series(noise, 600)[100:]
    assert samples.std() == pytest.approx(deviation, rel=0.02)
    assert samples.mean() == pytest.approx(0, abs=0.02)
    assert noise.scale(0) == pytest.approx(deviation, abs=1e-6)


def test_ou_noise_is_correlated_in_time():
    samples = series(ou((100, 4)), 600)[100:]
    correlation = (samples[1:] * samples[:-1]).mean() / samples.var()
    assert correlation == pytest.approx(0.85, abs=0.02)


@pytest.mark.parametrize(("theta", "dt"), [(0.0, 1.0), (2.0, 1.0), (0.5, 4.0)])
def test_ou_noise_that_never_settles_is_refused(theta, dt):
    with pytest.raises(ValidationError):
        ou((1, 1), theta=theta, dt=dt)


def test_a_decay_scales_what_leaves_the_ou_process_and_not_its_state():
    plain, decaying = ou((2, 2)), ou((2, 2), kind="linear", final=0.2)
    for step, factor in {0: 1.0, 25: 0.8, 50: 0.6, 100: 0.2}.items():
        np.testing.assert_allclose(decaying.sample(step), factor * plain.sample(step), rtol=1e-6)
        assert decaying.scale(step) == pytest.approx(factor * plain.scale(step))


def test_reset_restarts_the_ended_environments_alone():
    noise = ou((3, 2), mu=0.5)
    before = series(noise, 10)[-1]
    noise.reset(np.array([True, False, True]))
    noise.rng = GivenNormals(0.0)
    after = noise.sample(0)
    np.testing.assert_allclose(after[[0, 2]], 0.5)
    np.testing.assert_allclose(after[1], before[1] + 0.15 * (0.5 - before[1]), rtol=1e-6)
    assert np.abs(after[1] - 0.5).min() > 1e-3


def test_a_reset_leaves_the_noise_of_other_environments_as_it_was():
    noise, never_reset = ou((2, 2)), ou((2, 2))
    for step in range(20):
        sample, expected = noise.sample(step), never_reset.sample(step)
        np.testing.assert_array_equal(sample[1], expected[1])
        if step > 5:
            assert (sample[0] != expected[0]).all()
        noise.reset(np.array([step == 5, False]))


@pytest.mark.parametrize("make", ALL_KINDS)
def test_noise_goes_on_from_its_state(make):
    noise, other = make((2, 3), seed=0), make((2, 3), seed=1)
    series(noise, 7)
    state = noise.state_dict()
    kept = copy.deepcopy(state)
    noise.reset(np.array([True, False]))
    expected = series(noise, 5)
    np.testing.assert_equal(state, kept)
    other.load_state_dict(state)
    other.reset(np.array([True, False]))
    np.testing.assert_array_equal(series(other, 5), expected)
    np.testing.assert_equal(state, kept)
