import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlcont.ops.flat import flat_vector, flatten_
from rlcont.ops.polyak import polyak_


def make_net(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))


def test_a_flat_vector_holds_the_elements_in_order():
    tensors = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor(5.0), torch.tensor([6.0])]
    assert flat_vector(tensors).tolist() == [1, 2, 3, 4, 5, 6]
    assert flat_vector([torch.tensor([[1.0, 2.0], [3.0, 4.0]]).T]).tolist() == [1, 3, 2, 4]


def test_a_flat_vector_is_a_copy():
    source = torch.zeros(3)
    flat_vector([source]).fill_(1)
    assert source.tolist() == [0, 0, 0]


def test_flattening_changes_no_value_shape_or_name():
    net = make_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x = torch.randn(4, 2)
    y = net(x)
    flat = flatten_(list(net.parameters()))
    assert flat.shape == (2 * 3 + 3 + 3 + 1,)
    assert not flat.requires_grad
    assert list(net.state_dict()) == list(before)
    for name, value in net.state_dict().items():
        assert value.shape == before[name].shape
        assert torch.equal(value, before[name])
    assert torch.equal(net(x), y)


def test_the_vector_and_the_parameters_are_the_same_memory():
    net = make_net()
    flat = flatten_(list(net.parameters()))
    flat.copy_(torch.arange(13.0))
    assert net[0].weight.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert net[0].bias.tolist() == [6, 7, 8]
    assert net[2].weight.tolist() == [[9, 10, 11]]
    assert net[2].bias.tolist() == [12]
    with torch.no_grad():
        net[2].bias.fill_(-1)
    assert flat[12] == -1


def test_a_loaded_state_dict_lands_in_the_vector():
    net, other = make_net(0), make_net(1)
    flat = flatten_(list(net.parameters()))
    net.load_state_dict(other.state_dict())
    assert torch.equal(flat, flat_vector(param.detach() for param in other.parameters()))


def test_adam_on_the_vector_equals_adam_on_each_parameter():
    net = make_net()
    reference = copy.deepcopy(net)
    flat = flatten_(list(net.parameters()))
    flat_adam = torch.optim.Adam([flat], 0.01, fused=True)
    adam = torch.optim.Adam(reference.parameters(), 0.01)
    for seed in range(10):
        x = torch.randn(8, 2, generator=torch.Generator().manual_seed(seed))
        flat.grad = flat_vector(torch.autograd.grad(net(x).square().mean(), list(net.parameters())))
        flat_adam.step()
        adam.zero_grad()
        reference(x).square().mean().backward()
        adam.step()
    for param, expected in zip(net.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(param, expected, rtol=0, atol=1e-6)


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


@pytest.mark.parametrize("tau", [0.005, 0.5, 0.9])
def test_one_soft_update_of_a_vector_equals_a_loop_over_parameters(tau):
    online, target = make_net(0), make_net(1)
    expected = [(1 - tau) * t + tau * o for t, o in zip(target.parameters(), online.parameters(), strict=True)]
    polyak_(flatten_(list(target.parameters())), flatten_(list(online.parameters())), tau)
    for param, value in zip(target.parameters(), expected, strict=True):
        torch.testing.assert_close(param.detach(), value.detach())
