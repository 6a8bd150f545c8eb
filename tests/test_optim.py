import pytest
import torch

from rlcont.optim import Adam


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


def test_the_weights_may_be_a_leaf_that_is_differentiated():
    weights = torch.tensor([2.0], requires_grad=True)
    Adam(weights, 0.5).step(torch.autograd.grad(weights**2, [weights])[0])
    assert weights.requires_grad
    torch.testing.assert_close(weights.detach(), torch.tensor([1.5]))


def test_a_loaded_state_goes_on_as_the_saved_one():
    rng = torch.Generator().manual_seed(0)
    grads = torch.randn(20, 5, generator=rng)
    one, other = torch.zeros(5), torch.ones(5)
    first, second = Adam(one, 0.01), Adam(other, 0.01)
    for grad in grads[:10]:
        first.step(grad)
    memory = second.mean.data_ptr()
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    other.copy_(one)
    for grad in grads[10:]:
        first.step(grad)
        second.step(grad)
    assert torch.equal(one, other)
    assert second.mean.data_ptr() == memory
