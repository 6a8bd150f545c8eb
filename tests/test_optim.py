import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlcont.nn.optim import Adam, RMSProp, clip_norm, polyak_

OPTIMISERS = [Adam, RMSProp]


def test_two_steps_by_hand():
    weights = torch.tensor([1.0, -2.0])
    adam = Adam(weights, lr=0.1)
    # The first step is lr * sign(grad), whatever the gradient's size.
    adam.step(torch.tensor([0.5, -300.0]))
    torch.testing.assert_close(weights, torch.tensor([0.9, -1.9]))
    # mean = 0.9 * 0.05 + 0.1 * -0.5 = -0.005, corrected by 0.19; square = 0.000499750, corrected by 0.001999.
    adam.step(torch.tensor([-0.5, -300.0]))
    first = 0.9 + 0.1 * (0.005 / 0.19) / (0.00049975 / 0.001999) ** 0.5
    torch.testing.assert_close(weights, torch.tensor([first, -1.8]))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_adam_equals_pytorchs(scale):
    rng = torch.Generator().manual_seed(0)
    weights = torch.randn(50, generator=rng)
    param = weights.clone().requires_grad_()
    adam, reference = Adam(weights, 1e-2), torch.optim.Adam([param], 1e-2)
    for _ in range(300):
        param.grad = scale * torch.randn(50, generator=rng)
        adam.step(param.grad)
        reference.step()
    torch.testing.assert_close(weights, param.detach(), rtol=0, atol=1e-5)


def test_two_rmsprop_steps_by_hand():
    weights = torch.tensor([1.0, -2.0])
    rmsprop = RMSProp(weights, lr=0.1)
    # Corrected mean squares 4 and 1e-12, whose root is a tenth of epsilon: 0.1 * 2 / 2.00001 and 0.1 * 1e-6 / 1.1e-5.
    rmsprop.step(torch.tensor([2.0, -1e-6]))
    torch.testing.assert_close(weights, torch.tensor([1 - 0.2 / 2.00001, -2 + 0.1 / 11]), rtol=0, atol=3e-7)
    # 0.99 * 0.04 + 0.01 * 1 = 0.0496, over 1 - 0.99^2 = 0.0199.
    rmsprop.step(torch.tensor([-1.0, 0.0]))
    first = 1 - 0.2 / 2.00001 + 0.1 / ((0.0496 / 0.0199) ** 0.5 + 1e-5)
    torch.testing.assert_close(weights, torch.tensor([first, -2 + 0.1 / 11]), rtol=0, atol=3e-7)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e4])
def test_rmsprop_equals_pytorchs_adam_without_momentum(scale):
    rng = torch.Generator().manual_seed(0)
    weights = torch.randn(50, generator=rng)
    start = weights.clone()
    param = weights.clone().requires_grad_()
    rmsprop, reference = RMSProp(weights, 1e-2), torch.optim.Adam([param], 1e-2, (0.0, 0.99), 1e-5)
    for _ in range(300):
        param.grad = scale * torch.randn(50, generator=rng)
        rmsprop.step(param.grad)
        reference.step()
    torch.testing.assert_close(weights, param.detach(), rtol=0, atol=1e-5)
    assert (weights - start).abs().max() > 0.01


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_step_size_written_in_place_takes_effect_at_the_next_step(optimiser):
    grads = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    weights, twice = torch.zeros(5), torch.zeros(5)
    one, other = optimiser(weights, 0.01), optimiser(twice, 0.01)
    assert one.lr.shape == ()
    one.step(grads[0])
    other.step(grads[0])
    first = weights.clone()
    assert first.abs().min() > 0
    one.lr.fill_(0.0)
    one.step(grads[1])
    assert torch.equal(weights, first)
    other.lr.fill_(0.0)
    other.step(grads[1])
    one.lr.fill_(0.01)
    other.lr.fill_(0.02)
    one.step(grads[2])
    other.step(grads[2])
    torch.testing.assert_close(twice - first, 2 * (weights - first), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_the_weights_may_be_a_leaf_that_is_differentiated(optimiser):
    weights = torch.tensor([2.0], requires_grad=True)
    optimiser(weights, 0.5).step(torch.autograd.grad(weights**2, [weights])[0])
    assert weights.requires_grad
    # Either's first step is lr.
    torch.testing.assert_close(weights.detach(), torch.tensor([2 - 0.5]), rtol=0, atol=2e-4)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_loaded_state_goes_on_as_the_saved_one(optimiser):
    rng = torch.Generator().manual_seed(0)
    grads = torch.randn(20, 5, generator=rng)
    one, other = torch.zeros(5), torch.ones(5)
    first, second = optimiser(one, 0.01), optimiser(other, 0.01)
    for grad in grads[:10]:
        first.step(grad)
    memory = second.square.data_ptr()
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    other.copy_(one)
    for grad in grads[10:]:
        first.step(grad)
        second.step(grad)
    assert torch.equal(one, other)
    assert second.square.data_ptr() == memory


def test_polyak_by_hand():
    target, online = torch.tensor([0.0, 10.0]), torch.tensor([1.0, 20.0])
    memory = target.data_ptr()
    polyak_(target, online, 0.1)
    torch.testing.assert_close(target, torch.tensor([0.1, 11.0]))
    polyak_(target, online, 0.1)
    torch.testing.assert_close(target, torch.tensor([0.19, 11.9]))
    assert target.data_ptr() == memory
    assert online.tolist() == [1, 20]


def test_polyak_with_tau_one_copies():
    target, online = torch.tensor([0.1, 1e6]), torch.tensor([0.3, -1e-6])
    polyak_(target, online, 1.0)
    assert torch.equal(target, online)


@given(tau=st.floats(0.001, 1), num_updates=st.integers(1, 20))
def test_polyak_leaves_a_known_share_of_the_distance(tau, num_updates):
    target, online = torch.tensor([3.0, -1.0]), torch.tensor([1.0, 4.0])
    for _ in range(num_updates):
        polyak_(target, online, tau)
    share = (1 - tau) ** num_updates
    expected = online + share * torch.tensor([2.0, -5.0])
    torch.testing.assert_close(target, expected, rtol=1e-5, atol=1e-5)


def test_clip_norm_by_hand():
    grad = torch.tensor([3.0, -4.0])
    torch.testing.assert_close(clip_norm(grad, 2.5), torch.tensor([1.5, -2.0]))
    assert torch.equal(clip_norm(grad, 5.0), grad)
    assert torch.equal(clip_norm(grad, 100.0), grad)
    assert clip_norm(torch.zeros(2), 1.0).tolist() == [0, 0]
    assert grad.tolist() == [3, -4]


@given(grad=st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=5), max_norm=st.floats(1e-3, 1e3))
def test_clip_norm_is_as_torch_clips(grad, max_norm):
    param = torch.zeros(len(grad), requires_grad=True)
    param.grad = torch.tensor(grad)
    clipped = clip_norm(param.grad.clone(), max_norm)
    torch.nn.utils.clip_grad_norm_([param], max_norm)
    torch.testing.assert_close(clipped, param.grad, rtol=1e-3, atol=1e-6)
