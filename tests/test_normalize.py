import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlcont.normalize import RunningNorm


def test_moments_and_map_by_hand():
    norm = RunningNorm(1)
    norm.update(np.array([[1.0], [3.0]], np.float32))
    norm.update(np.array([[5.0]], np.float32))
    assert norm.count == 3
    assert norm.mean == pytest.approx(3.0)
    assert norm.var == pytest.approx(8 / 3)
    # 2 / sqrt(8/3)
    np.testing.assert_allclose(norm(torch.tensor([[5.0], [3.0]])), [[1.2247449], [0.0]], rtol=1e-6)


@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any),
    offset=st.sampled_from([0.0, -3.0, 1000.0]),
    scale=st.sampled_from([0.01, 1.0, 50.0]),
    seed=st.integers(0, 100),
)
def test_moments_equal_numpys_over_all_rows_in_any_split(sizes, offset, scale, seed):
    rng = np.random.default_rng(seed)
    pieces = [(offset + scale * rng.standard_normal((size, 3))).astype(np.float32) for size in sizes]
    norm = RunningNorm(3)
    for piece in pieces:
        norm.update(piece)
    rows = np.concatenate(pieces).astype(np.float64)
    assert norm.count == len(rows)
    np.testing.assert_allclose(norm.mean, rows.mean(0), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(norm.var, rows.var(0), rtol=1e-8, atol=1e-10)


def test_normalised_rows_have_mean_zero_and_deviation_one():
    rows = (7 + 3 * np.random.default_rng(0).standard_normal((500, 2))).astype(np.float32)
    norm = RunningNorm(2)
    norm.update(rows)
    normal = norm(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(normal.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(normal.std(0), 1, atol=1e-5)


def test_before_any_row_observations_pass_as_they_are():
    obs = torch.tensor([[0.5, -2.0]])
    torch.testing.assert_close(RunningNorm(2)(obs), obs)


def test_no_rows_change_nothing():
    norm = RunningNorm(2)
    norm.update(np.ones((0, 2), np.float32))
    assert norm.count == 0
    assert norm.mean.tolist() == [0, 0]
    assert norm.var.tolist() == [1, 1]


def test_the_map_is_clipped_at_ten_deviations():
    norm = RunningNorm(1)
    norm.update(np.array([[-1.0], [1.0]], np.float32))
    np.testing.assert_allclose(norm(torch.tensor([[9.0], [25.0], [-25.0]])), [[9], [10], [-10]], rtol=1e-6)


def test_a_constant_dimension_maps_to_zero():
    norm = RunningNorm(1)
    for _ in range(3):
        norm.update(np.full((2, 1), 0.1, np.float32))
    assert norm(torch.full((1, 1), 0.1)).item() == 0


def test_the_variance_survives_a_large_offset():
    rows = (1e6 + np.random.default_rng(0).integers(-2, 3, (400, 1))).astype(np.float32)
    norm = RunningNorm(1)
    for row in rows:
        norm.update(row[None])
    assert norm.var.item() == pytest.approx(rows.astype(np.float64).var(), rel=1e-6)


def test_the_map_is_float32_for_any_leading_shape_and_leaves_its_input_alone():
    norm = RunningNorm(2)
    rows = np.array([[1.0, 2.0], [3.0, 6.0]], np.float32)
    norm.update(rows)
    assert rows.tolist() == [[1, 2], [3, 6]]
    obs = torch.tensor([5.0, 0.0]).expand(4, 3, 2).clone()
    normal = norm(obs)
    assert normal.dtype == torch.float32
    np.testing.assert_allclose(normal, np.broadcast_to([3.0, -2.0], (4, 3, 2)), rtol=1e-6)
    assert (obs == torch.tensor([5.0, 0.0])).all()


def test_a_loaded_state_maps_and_goes_on_like_the_original():
    rng = np.random.default_rng(0)
    norm, other = RunningNorm(3), RunningNorm(3)
    norm.update(rng.standard_normal((10, 3)))
    other.update(rng.standard_normal((4, 3)) - 5)
    state = norm.state_dict()
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    kept = {key: value.clone() for key, value in state.items()}
    other.load_state_dict(state)
    obs = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(other(obs), norm(obs))
    more = rng.standard_normal((6, 3)) + 1
    for each in (norm, other):
        each.update(more)
    assert torch.equal(other(obs), norm(obs))
    assert other.count == norm.count == 16
    assert all(torch.equal(state[key], kept[key]) for key in kept)
