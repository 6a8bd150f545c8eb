import torch
from hypothesis import given
from hypothesis import strategies as st

from rlcont.nn.optim import clip_norm, polyak_


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
