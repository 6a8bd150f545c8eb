"""Acting in NumPy gives what the network itself gives."""

import numpy as np
import pytest
import torch
from test_nets import network

from rlcont.nn.nets import ACTIVATIONS, DeterministicPolicy, FlatNetwork, body, mlp
from rlcont.nn.normalize import RunningNorm
from rlcont.nn.numpy_forward import make_forward, on_arrays
from rlcont.nn.policies import POLICIES

WITHOUT_A_FORM = {"gelu"}
"""NumPy has no error function."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def observations(num=9, scale=3.0):
    return (scale * torch.randn(num, 5, generator=generator(1))).numpy()


def assert_same(forward, module, obs):
    """`forward` of the array equals `module` of the tensor, to a few roundings."""
    with torch.no_grad():
        expected = module(torch.from_numpy(obs))
    ours = forward(obs)
    if isinstance(expected, torch.Tensor):
        ours, expected = (ours,), (expected,)
    for own, tensor in zip(ours, expected, strict=True):
        assert own.dtype == np.float32
        np.testing.assert_allclose(np.broadcast_to(own, tensor.shape), tensor.numpy(), rtol=1e-5, atol=1e-6)


def disturb(module):
    """Weights as training leaves them: no bias is 0, no gain is 1."""
    rng = generator(2)
    with torch.no_grad():
        for param in module.parameters():
            param.add_(0.3 * torch.randn(param.shape, generator=rng))
    return module


@pytest.mark.parametrize(("layer_norm", "residual"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - WITHOUT_A_FORM))
@pytest.mark.parametrize("scale", [0.1, 3.0, 300.0])
def test_a_network_in_numpy_equals_itself(activation, layer_norm, residual, scale):
    net = disturb(mlp(5, network([8, 8, 6], activation, layer_norm, residual), 3, generator()))
    assert_same(on_arrays(net), net, observations(scale=scale))


@pytest.mark.parametrize("activation", sorted(WITHOUT_A_FORM))
def test_a_layer_without_a_form_in_numpy_is_left_to_torch(activation):
    net = DeterministicPolicy(mlp(5, network([8], activation), 3, generator()))
    assert_same(make_forward(net, None, "cpu"), net, observations())


@pytest.mark.parametrize("family", POLICIES.values())
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_policys_parameters_in_numpy_equal_its_own(family, scale):
    trunk, policy = body(5, network([8], "tanh"), generator()), family(8, 3, 0.3, generator())
    net = torch.nn.Sequential(trunk, disturb(policy))
    assert_same(on_arrays(net), net, observations(scale=scale))


def test_a_deterministic_policy_in_numpy_equals_itself():
    net = DeterministicPolicy(mlp(5, network([8], "relu"), 3, generator()))
    assert_same(on_arrays(net), net, observations())


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_changed_weights_are_seen_at_once(activation):
    flat = FlatNetwork(mlp(5, network([8], activation), 3, generator()))
    forward = make_forward(flat.module, None, "cpu")
    before = forward(observations())
    with torch.no_grad():
        flat.weights.mul_(1.5)
    assert not np.allclose(forward(observations()), before)
    assert_same(forward, flat.module, observations())
    flat.load_state_dict(mlp(5, network([8], activation), 3, generator(3)).state_dict())
    assert_same(forward, flat.module, observations())


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_observations_are_normalised_by_the_moments_of_the_moment(activation):
    net, normalizer = mlp(5, network([8], activation), 3, generator()), RunningNorm(5)
    forward = make_forward(net, normalizer, "cpu")
    for factor in (1, 7):
        normalizer.update(factor * observations(50) + 2)
        assert_same(forward, lambda obs: net(normalizer(obs)), observations(scale=20.0))


def test_the_observations_are_left_as_they_were():
    obs = observations()
    before = obs.copy()
    make_forward(mlp(5, network([8], "relu"), 3, generator()), RunningNorm(5), "cpu")(obs)
    np.testing.assert_array_equal(obs, before)
