import math
from functools import partial

import numpy as np
import pytest
import torch
from global_generators import untouched_global_generators
from hypothesis import given
from hypothesis import strategies as st

from rlcont.nn.policies import POLICIES, BetaPolicy, BoundedGaussianPolicy, GaussianPolicy, SquashedPolicy

FAMILIES = list(POLICIES.values())
NUM_FEATURES = 64
NUM_SAMPLES = 200_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make(family, init_std=0.5, action_dim=3, num_features=NUM_FEATURES, seed=0):
    return family(num_features, action_dim, init_std, generator(seed))


def features(*shape):
    return torch.tanh(torch.randn(*shape, NUM_FEATURES, generator=generator(7)))


def column(*values):
    """[len(values), 1], in float64."""
    return torch.tensor(values, dtype=torch.float64)[:, None]


def pairs(first, second):
    """Every combination of two lists of parameters."""
    grid = torch.cartesian_prod(torch.tensor(first, dtype=torch.float64), torch.tensor(second, dtype=torch.float64))
    return grid[:, :1], grid[:, 1:]


def draw(family, first, second, num_samples=NUM_SAMPLES, seed=0):
    """Samples [num_samples, A] at one pair of parameters [A]."""
    parameters = (np.tile(np.asarray(values, np.float32), (num_samples, 1)) for values in (first, second))
    return family.sample(np.random.default_rng(seed), *parameters)


def arrays(tensors):
    return [tensor.detach().numpy() for tensor in tensors]


PARAMETERS = {
    GaussianPolicy: ([0.3, -2.0, 0.0], [0.1, 0.7, 3.0]),
    BoundedGaussianPolicy: ([0.3, -0.9, 0.0], [0.1, 0.7, 3.0]),
    SquashedPolicy: ([0.3, -2.0, 0.0], [0.1, 0.7, 1.5]),
    BetaPolicy: ([1.2, 3.0, 40.0], [5.0, 3.0, 2.0]),
}


def test_every_policy_is_tested():
    assert set(FAMILIES) == set(PARAMETERS)


# Golden numbers


def test_the_gaussians_log_probability_and_entropy_by_hand():
    # -(1/2)^2 / 2 - ln 2 - 0.9189385 and -0.9189385 - ln 1, summed.
    sample, mean, std = torch.tensor([[2.0, 5.0]]), torch.tensor([[1.0, 5.0]]), torch.tensor([[2.0, 1.0]])
    expected = -0.125 - 0.6931472 - 2 * 0.9189385
    assert GaussianPolicy.log_prob(sample, mean, std).item() == pytest.approx(expected, rel=1e-6)
    # (1 + ln 2 pi) / 2 = 1.4189385 each, and ln 2.
    assert make(GaussianPolicy).entropy(mean, std).item() == pytest.approx(2 * 1.4189385 + 0.6931472, rel=1e-6)


def test_the_squashed_log_probability_by_hand():
    # u = 1: -1/2 - 0.9189385, less ln(1 - 0.7615942^2) = ln 0.4199743 = -0.8675617; u = 0 is the Gaussian's peak.
    sample, mean, std = torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2), torch.ones(1, 2)
    expected = (-0.5 - 0.9189385 + 0.8675617) - 0.9189385
    assert SquashedPolicy.log_prob(sample, mean, std).item() == pytest.approx(expected, rel=1e-6)


def test_a_narrow_squashed_gaussians_entropy_by_hand():
    # tanh is almost linear with the slope 1 - tanh(1)^2 = 0.4199743 there, and the curvature of its logarithm is
    # twice that: ln 0.01 + 1.4189385 - 0.8675617 - 0.01^2 * 0.4199743.
    entropy = make(SquashedPolicy).entropy(column(1.0), column(0.01)).item()
    assert entropy == pytest.approx(-4.6051702 + 1.4189385 - 0.8675617 - 0.0000420, abs=2e-7)


def test_the_betas_log_probability_and_entropy_by_hand():
    # Beta(2, 2) has the density 3/4 (1 - a^2) on the box, and Beta(3, 2) 6 x^2 (1 - x) with x = (a + 1) / 2.
    sample, alpha, beta = torch.tensor([[0.5, 0.5]]), torch.tensor([[2.0, 3.0]]), torch.tensor([[2.0, 2.0]])
    expected = math.log(0.75 * 0.75) + math.log(6 * 0.5625 * 0.25)
    assert BetaPolicy.log_prob(sample, alpha, beta).item() == pytest.approx(expected, rel=1e-5)
    # psi(n) = 1 + 1/2 + ... + 1/(n-1) - Euler's constant, which cancels.
    # Beta(2, 2): -ln 6 - 2 * 1 + 2 (1 + 1/2 + 1/3) + ln 2 = 5/3 - ln 3.
    # Beta(3, 2): -ln 12 - 2 (1 + 1/2) - 1 + 3 (1 + 1/2 + 1/3 + 1/4) + ln 2 = 9/4 - ln 6.
    expected = (5 / 3 - math.log(3)) + (9 / 4 - math.log(6))
    assert make(BetaPolicy).entropy(alpha, beta).item() == pytest.approx(expected, rel=1e-5)


# Against integrals


def midpoints(low, high, num_cells):
    edges = torch.linspace(low, high, num_cells + 1, dtype=torch.float64)
    return (edges[1:] + edges[:-1]) / 2, edges.diff()


def mass_and_entropy(log_prob, cell):
    density = log_prob.exp()
    return (density * cell).sum().item(), -(density * log_prob * cell).sum().item()


@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.05), (-3.0, 0.7), (5.0, 2.0)])
def test_the_gaussian_integrates_to_one_and_to_its_entropy(mean, std):
    action, cell = midpoints(mean - 12 * std, mean + 12 * std, 2000)
    parameters = torch.full((1,), mean, dtype=torch.float64), torch.full((1,), std, dtype=torch.float64)
    mass, entropy = mass_and_entropy(GaussianPolicy.log_prob(action[:, None], *parameters), cell)
    assert mass == pytest.approx(1, abs=1e-9)
    assert entropy == pytest.approx(make(GaussianPolicy).entropy(*parameters).item(), abs=1e-9)


# Cells of the box, ever smaller towards its edges, that know of tanh's slope by their own size alone.
BOX_SAMPLES = midpoints(-12, 12, 20_000)[0]
BOX_CELLS = torch.linspace(-12, 12, 20_001, dtype=torch.float64).tanh().diff()


@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.05), (1.0, 0.2), (-0.5, 0.5), (0.0, 1.0), (2.0, 1.0), (0.3, 1.5)])
def test_the_squashed_gaussian_integrates_to_one_over_the_box_and_to_its_entropy(mean, std):
    parameters = torch.full((1,), mean, dtype=torch.float64), torch.full((1,), std, dtype=torch.float64)
    mass, entropy = mass_and_entropy(SquashedPolicy.log_prob(BOX_SAMPLES[:, None], *parameters), BOX_CELLS)
    assert mass == pytest.approx(1, abs=1e-6)
    assert entropy == pytest.approx(make(SquashedPolicy).entropy(*parameters).item(), abs=quadrature_error(std) + 1e-6)


@pytest.mark.parametrize(
    ("alpha", "beta"), [(1.0, 1.0), (1.2, 1.2), (1.2, 5.0), (2.0, 2.0), (3.0, 1.5), (40.0, 7.0), (300.0, 300.0)]
)
def test_the_beta_integrates_to_one_over_the_box_and_to_its_entropy(alpha, beta):
    parameters = torch.full((1,), alpha, dtype=torch.float64), torch.full((1,), beta, dtype=torch.float64)
    mass, entropy = mass_and_entropy(BetaPolicy.log_prob(BOX_SAMPLES.tanh()[:, None], *parameters), BOX_CELLS)
    assert mass == pytest.approx(1, abs=1e-6)
    assert entropy == pytest.approx(make(BetaPolicy).entropy(*parameters).item(), abs=1e-6)


def quadrature_error(std):
    """What 32 nodes can leave: ln(1 - tanh(u)^2) is singular at u = ± i pi / 2, which is d = pi / (2 std) deviations
    from the axis, and n nodes of Gauss and Hermite leave about exp(-2 sqrt(n) d). Besides, torch takes softplus(x) for
    x from 20 on, which leaves twice exp(-20)."""
    return 4 * math.exp(-2 * math.sqrt(32) * math.pi / (2 * std)) + 2 * math.exp(-20)


STDS, MEANS = [0.05, 0.2, 0.5, 1.0, 1.5, 2.0], [0.0, 0.5, 1.0, 2.0, 3.0, 5.0]


def test_the_squashed_entropy_equals_the_integral():
    means, stds = pairs(MEANS, STDS)
    z, cell = midpoints(-12, 12, 4000)
    weight = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * cell
    u = means + stds * z
    log_slope = -2 * (torch.logaddexp(u, -u) - math.log(2))
    expected = 0.5 * math.log(2 * math.pi * math.e) + stds.log().squeeze(-1) + (weight * log_slope).sum(-1)
    error = (make(SquashedPolicy).entropy(means, stds) - expected).abs()
    allowed = torch.tensor([quadrature_error(std) for std in stds.squeeze(-1).tolist()], dtype=torch.float64)
    assert (error <= allowed).all()
    # The bound says something: at most 1e-3 nat, and next to nothing for ordinary deviations.
    assert allowed.max() < 1e-3
    assert allowed[stds.squeeze(-1) <= 1].max() < 1e-7


def assert_entropy_is_that_of_samples(family, first, second):
    samples = torch.from_numpy(draw(family, [first], [second])).double()
    parameters = torch.full((1,), first, dtype=torch.float64), torch.full((1,), second, dtype=torch.float64)
    surprise = -family.log_prob(samples, *parameters)
    five_errors = 5 * surprise.std().item() / math.sqrt(NUM_SAMPLES)
    assert five_errors < 0.05
    assert surprise.mean().item() == pytest.approx(make(family).entropy(*parameters).item(), abs=five_errors)


@pytest.mark.parametrize("std", STDS)
@pytest.mark.parametrize("mean", [0.0, 1.0, 5.0])
def test_the_squashed_entropy_is_the_mean_surprise_of_samples(mean, std):
    assert_entropy_is_that_of_samples(SquashedPolicy, mean, std)


@pytest.mark.parametrize("family", [GaussianPolicy, BoundedGaussianPolicy, BetaPolicy])
@pytest.mark.parametrize("dimension", [0, 1, 2])
def test_the_entropy_is_the_mean_surprise_of_samples(family, dimension):
    first, second = PARAMETERS[family]
    assert_entropy_is_that_of_samples(family, first[dimension], second[dimension])


# Shapes and gradients


def example(family, dtype=torch.float64):
    """A sample and both parameters, [2, 3] each."""
    first, second = (torch.tensor([values, values[::-1]], dtype=dtype) for values in PARAMETERS[family])
    sample = torch.tensor([[-0.9, 0.1, 0.3], [0.99, -0.5, 0.0]], dtype=dtype)
    return sample, first, second


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probability_and_entropy_are_sums_over_dimensions(family):
    sample, first, second = example(family)
    each = [[x[:, [i]] for x in (sample, first, second)] for i in range(3)]
    log_prob, entropy = family.log_prob(sample, first, second), make(family).entropy(first, second)
    assert log_prob.shape == entropy.shape == (2,)
    torch.testing.assert_close(log_prob, sum(family.log_prob(*columns) for columns in each))
    torch.testing.assert_close(entropy, sum(make(family).entropy(*columns[1:]) for columns in each))


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_log_probability_and_entropy_are_finite_differences(family):
    sample, *parameters = example(family)
    for parameter in parameters:
        parameter.requires_grad_()
    assert torch.autograd.gradcheck(partial(family.log_prob, sample), parameters)
    assert torch.autograd.gradcheck(make(family).entropy, parameters)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_of_the_log_probability_has_mean_zero_under_the_policy(family):
    first, second = PARAMETERS[family]
    samples = torch.from_numpy(draw(family, first, second, 50_000)).double()
    parameters = [torch.tensor(x, dtype=torch.float64).expand(50_000, 3).clone() for x in (first, second)]
    for parameter in parameters:
        parameter.requires_grad_()
    for scores in torch.autograd.grad(family.log_prob(samples, *parameters).sum(), parameters):
        assert (scores.mean(0).abs() < 5 * scores.std(0) / math.sqrt(50_000)).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_have_any_leading_shape_and_come_from_the_last_layers(family):
    policy = make(family)
    parameters = policy(features(5, 4))
    assert [tuple(parameter.shape) for parameter in parameters] == [(5, 4, 3)] * 2
    assert all(parameter.dtype == torch.float32 for parameter in parameters)
    assert family.log_prob(torch.zeros(5, 4, 3), *parameters).shape == (5, 4)
    assert make(family).entropy(*parameters).shape == (5, 4)
    assert family.deterministic(*arrays(parameters)).shape == (5, 4, 3)
    loss = sum(parameter.square().sum() for parameter in parameters)
    assert all(grad.abs().min() > 0 for grad in torch.autograd.grad(loss, list(policy.parameters())))


def set_linear(layer, weight, bias):
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))


@pytest.mark.parametrize(
    ("family", "mean_of"),
    [(GaussianPolicy, lambda x: x), (BoundedGaussianPolicy, math.tanh), (SquashedPolicy, lambda x: x)],
)
def test_a_gaussians_parameters_by_hand(family, mean_of):
    policy = make(family, action_dim=2, num_features=2)
    set_linear(policy.mean, [[1.0, 0.2], [0.0, -0.1]], [-1.5, 0.0])
    with torch.no_grad():
        policy.log_std.copy_(torch.tensor([0.0, math.log(3)]))
    mean, std = policy(torch.tensor([[1.0, 10.0], [0.0, 1.0]]))
    expected = [[mean_of(1.5), mean_of(-1.0)], [mean_of(-1.3), mean_of(-0.1)]]
    torch.testing.assert_close(mean, torch.tensor(expected))
    torch.testing.assert_close(std, torch.tensor([[1.0, 3.0], [1.0, 3.0]]))


def test_a_betas_parameters_by_hand():
    policy = make(BetaPolicy, action_dim=1, num_features=2)
    set_linear(policy.alpha, [[1.0, 2.0]], [-1.0])
    set_linear(policy.beta, [[0.0, -1.0]], [0.0])
    alpha, beta = policy(torch.tensor([[1.0, 0.5]]))
    assert alpha.item() == pytest.approx(1 + math.log(1 + math.e), rel=1e-6)
    assert beta.item() == pytest.approx(1 + math.log(1 + math.exp(-0.5)), rel=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_stay_in_float32_where_bfloat16_is_on(family):
    policy = make(family)
    exact = policy(features(4))
    with torch.autocast("cpu", torch.bfloat16):
        parameters = policy(features(4))
    for parameter, expected in zip(parameters, exact, strict=True):
        assert torch.equal(parameter, expected)


# Far out and at the edges


@pytest.mark.parametrize("u", [20.0, -20.0, 100.0, -100.0])
def test_the_squashed_log_probability_is_exact_where_tanh_rounds_to_one(u):
    numbers = [torch.tensor([x], requires_grad=True) for x in (u, 0.5, 2.0)]
    log_prob = SquashedPolicy.log_prob(*numbers)
    z = (u - 0.5) / 2
    # ln(1 - tanh(u)^2) = 2 ln 2 - 2 |u|, and -4 exp(-40) of it is left out.
    expected = -(z**2) / 2 - math.log(2) - 0.5 * math.log(2 * math.pi) - 2 * math.log(2) + 2 * abs(u)
    assert log_prob.item() == pytest.approx(expected, rel=1e-5)
    to_sample, to_mean, to_std = torch.autograd.grad(log_prob, numbers)
    assert to_sample.item() == pytest.approx(-z / 2 + math.copysign(2, u), rel=1e-5)
    assert to_mean.item() == pytest.approx(z / 2, rel=1e-5)
    assert to_std.item() == pytest.approx((z**2 - 1) / 2, rel=1e-5)


@pytest.mark.parametrize("mean", [20.0, -20.0, 100.0, -100.0])
def test_the_squashed_entropy_is_exact_where_tanh_rounds_to_one(mean):
    parameters = [torch.tensor([mean], requires_grad=True), torch.tensor([0.5], requires_grad=True)]
    entropy = make(SquashedPolicy).entropy(*parameters)
    expected = math.log(0.5) + 0.5 * math.log(2 * math.pi * math.e) + 2 * math.log(2) - 2 * abs(mean)
    assert entropy.item() == pytest.approx(expected, rel=1e-5)
    to_mean, to_std = torch.autograd.grad(entropy, parameters)
    assert to_mean.item() == pytest.approx(-math.copysign(2, mean), rel=1e-5)
    assert to_std.item() == pytest.approx(2, rel=1e-4)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (1.0, 1e3), (1e3, 1.0), (1e3, 1e3), (1.001, 30.0)])
def test_the_beta_is_finite_at_the_last_samples_before_the_edges(side, alpha, beta):
    sample = torch.tensor([side * (1 - BetaPolicy.edge)], dtype=torch.float32)
    parameters = [torch.tensor([x], requires_grad=True) for x in (alpha, beta)]
    exact = [parameter.detach().double().requires_grad_() for parameter in parameters]
    for function in (partial(BetaPolicy.log_prob, sample), make(BetaPolicy).entropy):
        value, expected = function(*parameters), function(*exact)
        assert value.dtype == torch.float32
        # ln B is a difference of numbers up to 13000, whose float32 neighbours are 0.001 away.
        torch.testing.assert_close(value, expected.float(), rtol=1e-5, atol=4e-3)
        grads = torch.autograd.grad(value, parameters)
        for grad, wanted in zip(grads, torch.autograd.grad(expected, exact), strict=True):
            torch.testing.assert_close(grad, wanted.float(), rtol=1e-4, atol=1e-4)


def test_a_narrow_betas_entropy_is_almost_a_gaussians():
    # The variance on the box is 1 / 2001.
    entropy = make(BetaPolicy).entropy(column(1e3), column(1e3)).item()
    assert entropy == pytest.approx(0.5 * math.log(2 * math.pi * math.e / 2001), abs=1e-3)


# Sampling


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_have_the_moments_of_the_distribution(family):
    first, second = (np.array(values) for values in PARAMETERS[family])
    if family is BetaPolicy:
        total = first + second
        mean, var = (first - second) / total, 4 * first * second / (total**2 * (total + 1))
    else:
        mean, var = first, second**2
    samples = draw(family, first, second)
    assert samples.shape == (NUM_SAMPLES, 3)
    assert samples.dtype == np.float32
    assert (np.abs(samples.mean(0, np.float64) - mean) < 5 * np.sqrt(var / NUM_SAMPLES)).all()
    np.testing.assert_allclose(samples.var(0, dtype=np.float64), var, rtol=0.02)
    correlation = np.corrcoef(samples.T)[np.triu_indices(3, 1)]
    assert (np.abs(correlation) < 5 / math.sqrt(NUM_SAMPLES)).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_depend_on_the_given_generator_alone(family):
    parameters = PARAMETERS[family]
    with untouched_global_generators():
        first = draw(family, *parameters, num_samples=10)
    np.testing.assert_array_equal(draw(family, *parameters, num_samples=10), first)
    assert (draw(family, *parameters, num_samples=10, seed=1) != first).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_policys_own_parameters_give_float32_samples_and_actions(family):
    with torch.inference_mode():
        parameters = [parameter.numpy() for parameter in make(family)(features(4))]
    sample = family.sample(np.random.default_rng(0), *parameters)
    action = family.to_action(sample)
    assert sample.shape == action.shape == (4, 3)
    assert sample.dtype == action.dtype == np.float32


@pytest.mark.parametrize("side", [-1, 1])
def test_beta_samples_reach_their_last_place_before_the_edge_and_never_leave_it(side):
    first, second = ([1e5], [1.0]) if side > 0 else ([1.0], [1e5])
    samples = draw(BetaPolicy, first, second, 1000)
    last = np.float32(side * (1 - BetaPolicy.edge))
    assert np.abs(last).astype(np.float64) <= 1 - BetaPolicy.edge
    assert (np.abs(samples) <= np.abs(last)).all()
    assert (samples == last).any()
    assert (samples != last).any()


def test_squashed_and_beta_actions_are_in_the_box_and_a_gaussians_are_as_drawn():
    sample = np.array([-300.0, -1.5, 0.0, 0.5, 40.0], np.float32)
    squashed = SquashedPolicy.to_action(sample)
    assert np.abs(squashed).max() <= 1
    np.testing.assert_allclose(squashed, [-1, math.tanh(-1.5), 0, math.tanh(0.5), 1], rtol=1e-6)
    for family in (GaussianPolicy, BoundedGaussianPolicy):
        np.testing.assert_array_equal(family.to_action(sample), sample)
    beta = draw(BetaPolicy, [1.0], [1.0], 1000)
    np.testing.assert_array_equal(BetaPolicy.to_action(beta), beta)
    assert np.abs(beta).max() <= 1


# Without exploration


@pytest.mark.parametrize("family", [GaussianPolicy, BoundedGaussianPolicy])
def test_a_gaussians_deterministic_action_is_its_mean(family):
    mean = np.array([[0.5, -3.0]])
    np.testing.assert_array_equal(family.deterministic(mean, np.ones(2)), mean)


def test_the_deterministic_actions_of_a_bounded_gaussian_are_in_the_box_for_any_features():
    policy = make(BoundedGaussianPolicy)
    mean, std = policy(1e4 * features(100))
    actions = BoundedGaussianPolicy.deterministic(*arrays([mean, std]))
    assert np.abs(actions).max() <= 1
    assert np.abs(actions).max() > 0.99
    torch.testing.assert_close(std, torch.full_like(std, 0.5))


def test_a_squashed_gaussians_deterministic_action_is_the_median_of_its_actions():
    first, second = PARAMETERS[SquashedPolicy]
    actions = SquashedPolicy.to_action(draw(SquashedPolicy, first, second))
    median = SquashedPolicy.deterministic(np.array(first), np.array(second))
    np.testing.assert_allclose(median, [math.tanh(mean) for mean in first])
    below = (actions < median).mean(0)
    assert (np.abs(below - 0.5) < 2.5 / math.sqrt(NUM_SAMPLES)).all()


def test_a_betas_deterministic_action_is_the_mean_of_its_actions():
    # (1.2 - 5) / 6.2, (3 - 3) / 6 and (40 - 2) / 42; the modes would be -0.905, 0 and 0.95.
    first, second = PARAMETERS[BetaPolicy]
    mean = BetaPolicy.deterministic(np.array(first), np.array(second))
    np.testing.assert_allclose(mean, [-0.6129032, 0.0, 0.9047619], rtol=1e-6)
    actions = BetaPolicy.to_action(draw(BetaPolicy, first, second))
    np.testing.assert_allclose(actions.mean(0, np.float64), mean, atol=5 * actions.std(0).max() / NUM_SAMPLES**0.5)


# The beginning


@pytest.mark.parametrize("init_std", [0.05, 0.3, 0.5])
@pytest.mark.parametrize("family", [GaussianPolicy, BoundedGaussianPolicy, BetaPolicy])
def test_the_first_actions_have_the_initial_deviation_and_no_side(family, init_std):
    with torch.no_grad():
        first, second = (parameter.numpy() for parameter in make(family, init_std)(features(50_000)))
    actions = family.to_action(family.sample(np.random.default_rng(0), first, second))
    np.testing.assert_allclose(actions.std(0), init_std, rtol=0.02)
    np.testing.assert_allclose(actions.mean(0), 0, atol=0.01)


@pytest.mark.parametrize("init_std", [0.05, 0.5, 2.0])
def test_the_initial_deviation_of_a_squashed_gaussian_is_that_before_tanh(init_std):
    mean, std = make(SquashedPolicy, init_std)(features(100))
    torch.testing.assert_close(std, torch.full_like(std, init_std))
    assert mean.abs().max() < 0.1


@given(init_std=st.floats(0.001, 0.577))
def test_without_features_a_beta_is_symmetric_with_exactly_the_initial_deviation(init_std):
    alpha, beta = make(BetaPolicy, init_std, num_features=1)(torch.zeros(1, 1))
    assert torch.equal(alpha, beta)
    assert (alpha > 1).all()
    # The variance of Beta(c, c) on the box is 1 / (2 c + 1).
    np.testing.assert_allclose(((2 * alpha + 1) ** -0.5).detach(), init_std, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_deterministic_actions_are_near_zero_but_depend_on_what_is_seen(family):
    actions = family.deterministic(*arrays(make(family)(features(500))))
    assert 0 < np.abs(actions).max() < 0.05
    assert actions.std(0).min() > 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_the_initial_weights_depend_on_the_generator_alone(family):
    with untouched_global_generators():
        first = make(family).state_dict()
    same, other = make(family).state_dict(), make(family, seed=1).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in first.items())
    drawn = [name for name in first if name.endswith("weight")]
    assert drawn
    assert all((first[name] != other[name]).any() for name in drawn)


def test_the_layers_of_a_beta_are_drawn_one_after_the_other():
    policy = make(BetaPolicy)
    assert not torch.equal(policy.alpha.weight, policy.beta.weight)
