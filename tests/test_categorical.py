"""The projection of a value distribution conserves mass and mean, for every input."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlcont.nn import categorical
from rlcont.nn.categorical import project, resampling


def by_loops(probs, atoms, reward, discount):
    """Equation 7 of arXiv:1707.06887, a term for each pair of atoms, in float64."""
    num = len(atoms)
    spacing = (atoms[-1] - atoms[0]) / (num - 1)
    result = np.zeros(probs.shape)
    for row in range(len(probs)):
        for i in range(num):
            for j in range(num):
                shifted = min(max(reward[row] + discount[row] * atoms[j], atoms[0]), atoms[-1])
                result[row, i] += probs[row, j] * max(0.0, 1 - abs(shifted - atoms[i]) / spacing)
    return result


def projected(probs, bounds, reward, discount, dtype=torch.float32):
    probs = torch.tensor(probs, dtype=dtype)
    atoms = torch.linspace(*bounds, probs.shape[1], dtype=dtype)
    result, outside = project(probs, atoms, torch.tensor(reward, dtype=dtype), torch.tensor(discount, dtype=dtype))
    return result.double().numpy(), outside.double().numpy()


def test_by_hand():
    # Atoms 0, 1, 2, 3, 4. 0.5 + 0.5 z: 0.5, 1, 1.5, 2, 2.5.
    result, outside = projected([[0.2, 0.2, 0.2, 0.2, 0.2]], (0, 4), [0.5], [0.5])
    np.testing.assert_allclose(result, [[0.1, 0.1 + 0.2 + 0.1, 0.1 + 0.2 + 0.1, 0.1, 0]], atol=1e-7)
    assert outside.tolist() == [0]


BOUNDARIES = {
    "every atom on itself": (0.0, 1.0, [0.1, 0.2, 0.3, 0.4], 0),
    "every atom on the next, the last clipped": (1.0, 1.0, [0, 0.1, 0.2, 0.7], 0.4),
    "every atom on the one before, the first clipped": (-1.0, 1.0, [0.3, 0.3, 0.4, 0], 0.1),
    "half way": (0.5, 1.0, [0.05, 0.15, 0.25, 0.55], 0.4),
    "terminated on an atom": (1.0, 0.0, [0, 0, 1, 0], 0),
    "terminated between atoms": (0.25, 0.0, [0, 0.75, 0.25, 0], 0),
    "terminated on the first atom": (-1.0, 0.0, [1, 0, 0, 0], 0),
    "terminated on the last atom": (2.0, 0.0, [0, 0, 0, 1], 0),
    "all above": (100.0, 1.0, [0, 0, 0, 1], 1),
    "all below": (-100.0, 1.0, [1, 0, 0, 0], 1),
    "all above, terminated": (1e30, 0.0, [0, 0, 0, 1], 1),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", BOUNDARIES.values(), ids=BOUNDARIES)
def test_every_boundary(case, dtype):
    reward, discount, expected, clipped = case
    result, outside = projected([[0.1, 0.2, 0.3, 0.4]], (-1, 2), [reward], [discount], dtype)
    np.testing.assert_allclose(result, [expected], atol=1e-6)
    assert outside == pytest.approx([clipped], abs=1e-6)


@st.composite
def cases(draw):
    """Distributions of any shape, on bounds of any size, with rewards on, between, far outside the atoms."""
    num_atoms, num_rows = draw(st.integers(2, 60)), draw(st.integers(1, 4))
    unit = draw(st.sampled_from([1e-3, 1.0, 1e3]))
    v_min = unit * draw(st.floats(-5, 4))
    width = unit * draw(st.floats(0.5, 5))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    probs = rng.dirichlet(np.full(num_atoms, draw(st.sampled_from([0.05, 1.0, 50.0]))), num_rows)
    if draw(st.booleans()):
        probs = np.eye(num_atoms)[rng.integers(0, num_atoms, num_rows)]
    on_grid = width / (num_atoms - 1) * rng.integers(-num_atoms, num_atoms, num_rows)
    rewards = [on_grid, width * rng.standard_normal(num_rows), 1e3 * width * rng.standard_normal(num_rows)]
    reward = rewards[draw(st.integers(0, 2))]
    discount = np.array(draw(st.lists(st.sampled_from([0.0, 0.5, 0.99, 1.0]), min_size=num_rows, max_size=num_rows)))
    return probs, (v_min, v_min + width), reward, discount


@given(cases())
def test_mass_is_conserved(case):
    result, outside = projected(*case)
    assert (result >= 0).all()
    np.testing.assert_allclose(result.sum(1), 1, atol=1e-6)
    assert ((outside >= 0) & (outside <= 1 + 1e-6)).all()


@given(cases())
def test_it_equals_loops_over_all_pairs_of_atoms(case):
    probs, bounds, reward, discount = case
    result, _ = projected(*case, dtype=torch.float64)
    np.testing.assert_allclose(
        result, by_loops(probs, np.linspace(*bounds, probs.shape[1]), reward, discount), atol=1e-9
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-15)])
@given(case=cases())
def test_the_sum_over_pairs_equals_the_scattering(dtype, tolerance, case):
    probs, _, reward, _ = case
    rng = np.random.default_rng(abs(int(reward[0])))
    last = probs.shape[1] - 1
    on_grid = rng.integers(0, last, probs.shape, endpoint=True)
    for place in (rng.uniform(0, last, probs.shape), on_grid):
        arguments = torch.tensor(probs, dtype=dtype), torch.tensor(place, dtype=dtype)
        pairs, scattered = categorical._spread_by_pairs(*arguments), categorical._spread_by_scatter(*arguments)
        torch.testing.assert_close(pairs, scattered, rtol=tolerance, atol=tolerance)


class OnCuda(torch.Tensor):
    is_cuda = True


@pytest.mark.parametrize(("device", "expected"), [("cuda", "_spread_by_pairs"), ("cpu", "_spread_by_scatter")])
def test_on_cuda_the_order_of_additions_is_fixed(monkeypatch, device, expected):
    used = []
    for name in ("_spread_by_pairs", "_spread_by_scatter"):
        monkeypatch.setattr(categorical, name, lambda probs, place, name=name: used.append(name))
    probs = torch.full((1, 5), 0.2)
    project(probs.as_subclass(OnCuda) if device == "cuda" else probs, torch.arange(5.0), torch.ones(1), torch.ones(1))
    assert used == [expected]


@given(cases())
def test_the_mean_is_preserved_where_nothing_is_clipped(case):
    probs, (v_min, v_max), reward, discount = case
    atoms = np.linspace(v_min, v_max, probs.shape[1])
    # Rewards that keep every shifted atom inside.
    lowest, highest = v_min - discount * v_min, v_max - discount * v_max
    reward = lowest + (highest - lowest) * (0.5 + 0.5 * np.tanh(reward / (v_max - v_min)))
    result, outside = projected(probs, (v_min, v_max), reward, discount, torch.float64)
    np.testing.assert_allclose(result @ atoms, reward + discount * (probs @ atoms), atol=1e-9 * (1 + abs(atoms).max()))
    np.testing.assert_allclose(outside, 0, atol=1e-9)


@given(cases(), st.floats(0, 2))
def test_a_larger_reward_gives_a_stochastically_larger_result(case, more):
    probs, (v_min, v_max), reward, discount = case
    less, _ = projected(probs, (v_min, v_max), reward, discount, torch.float64)
    larger, _ = projected(probs, (v_min, v_max), reward + more * (v_max - v_min), discount, torch.float64)
    assert (larger.cumsum(1) <= less.cumsum(1) + 1e-9).all()


@given(cases())
def test_mass_outside_is_that_of_the_atoms_that_leave_the_bounds(case):
    probs, bounds, reward, discount = case
    _, outside = projected(*case, dtype=torch.float64)
    atoms = np.linspace(*bounds, probs.shape[1])
    shifted = reward[:, None] + discount[:, None] * atoms
    tolerance = 1e-3 * (atoms[1] - atoms[0])
    clearly = ((shifted < bounds[0] - 1.1 * tolerance) | (shifted > bounds[1] + 1.1 * tolerance)) * probs
    perhaps = ((shifted < bounds[0] - 0.9 * tolerance) | (shifted > bounds[1] + 0.9 * tolerance)) * probs
    assert (outside >= clearly.sum(1) - 1e-9).all()
    assert (outside <= perhaps.sum(1) + 1e-9).all()


def bump(atoms, mean, deviation):
    return -0.5 * ((atoms - mean) / deviation) ** 2


def mean_and_deviation(logits, atoms):
    probs = torch.softmax(logits, 0)
    mean = (probs * atoms).sum()
    return mean.item(), ((probs * (atoms - mean) ** 2).sum()).sqrt().item()


@pytest.mark.parametrize("new", [(-1.3, 1.3), (-1.0, 2.0), (-6.0, 1.0), (-2.0, 4.0)])
@pytest.mark.parametrize("mean", [-0.7, 0.0, 0.4])
def test_resampled_logits_describe_about_the_same_distribution(new, mean):
    old = (-1.0, 1.0)
    atoms, others = (torch.linspace(*bounds, 101, dtype=torch.float64) for bounds in (old, new))
    matrix, offset = resampling(101, old, new)
    before = mean_and_deviation(bump(atoms, mean, 0.1), atoms)
    after = mean_and_deviation(matrix @ bump(atoms, mean, 0.1) + offset, others)
    assert after == pytest.approx(before, abs=0.02)


def test_resampling_by_hand():
    # Atoms 0, 1, 2 become 0, 2, 4: the last lies two old spacings beyond the edge.
    matrix, offset = resampling(3, (0.0, 2.0), (0.0, 4.0))
    assert (matrix @ torch.tensor([5.0, 6.0, 7.0], dtype=torch.float64) + offset).tolist() == [5, 7, 7 - 2]
    # And -1, 0.5, 2.
    matrix, offset = resampling(3, (0.0, 2.0), (-1.0, 2.0))
    assert (matrix @ torch.tensor([5.0, 6.0, 7.0], dtype=torch.float64) + offset).tolist() == [5 - 1, 5.5, 7]


def test_resampling_to_the_same_bounds_changes_nothing():
    matrix, offset = resampling(7, (-2.0, 3.0), (-2.0, 3.0))
    torch.testing.assert_close(matrix, torch.eye(7, dtype=torch.float64))
    torch.testing.assert_close(offset, torch.zeros(7, dtype=torch.float64), atol=1e-12, rtol=0)
