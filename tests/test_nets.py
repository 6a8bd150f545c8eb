import math

import pytest
import torch
from torch import nn

from rlcont.core.schema import NetworkConfig
from rlcont.nn.nets import (
    ACTIVATIONS,
    ActorCritic,
    DeterministicPolicy,
    FlatNetwork,
    LayerNorm,
    OutputLinear,
    QFunction,
    Residual,
    body,
    linear,
    mlp,
    orthogonal,
)
from rlcont.nn.policies import GaussianPolicy


def network(hidden, activation, layer_norm=False, residual=False):
    return NetworkConfig(hidden=hidden, activation=activation, layer_norm=layer_norm, residual=residual, lr=1e-3)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def small_mlp(num_in, num_out, activation="relu"):
    """num_in -> 2 -> num_out."""
    return mlp(num_in, network([2], activation), num_out, generator())


def set_linear(layer, weight, bias):
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))


@pytest.mark.parametrize(("num_in", "num_out"), [(17, 64), (64, 64), (64, 6)])
@pytest.mark.parametrize("gain", [1.0, 2**0.5, 0.01])
def test_an_orthogonal_layer_has_the_gain_as_its_only_singular_value_and_no_bias(num_in, num_out, gain):
    layer = orthogonal(num_in, num_out, generator(), gain=gain)
    torch.testing.assert_close(torch.linalg.svdvals(layer.weight), torch.full((min(num_in, num_out),), gain))
    assert not layer.bias.any()
    assert torch.equal(layer.weight, orthogonal(num_in, num_out, generator(), gain=gain).weight)
    assert not torch.equal(layer.weight, orthogonal(num_in, num_out, generator(1), gain=gain).weight)


@pytest.mark.parametrize("num_in", [4, 100])
def test_a_linear_layer_fills_plus_minus_one_over_root_num_in(num_in):
    layer = linear(num_in, 2000, generator())
    bound = 1 / math.sqrt(num_in)
    for values in (layer.weight, layer.bias):
        assert values.abs().max() <= bound
        assert values.max() > 0.99 * bound
        assert values.min() < -0.99 * bound
        assert values.mean().item() == pytest.approx(0, abs=0.05 * bound)
        assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_the_initial_weights_depend_on_the_generator_alone():
    torch.manual_seed(0)
    first = small_mlp(3, 2).state_dict()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    second = small_mlp(3, 2).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    other = mlp(3, network([2], "relu"), 2, generator(1)).state_dict()
    for name, value in first.items():
        assert torch.equal(value, second[name])
        assert not torch.equal(value, other[name])


def test_two_networks_from_one_generator_differ():
    shared = generator()
    first, second = linear(3, 3, shared), linear(3, 3, shared)
    assert not torch.equal(first.weight, second.weight)


def test_an_mlp_has_an_activation_after_each_hidden_layer_and_none_at_the_end():
    net = mlp(5, network([4, 3], "tanh"), 2, generator())
    assert [type(layer) for layer in net] == [nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, OutputLinear]
    assert [tuple(net[index].weight.shape) for index in (0, 2, 4)] == [(4, 5), (3, 4), (2, 3)]


def test_layer_normalisation_stands_before_each_activation():
    net = mlp(5, network([4, 3], "relu", True), 2, generator())
    pattern = [nn.Linear, LayerNorm, nn.ReLU]
    assert [type(layer) for layer in net] == [*pattern, *pattern, OutputLinear]
    assert [net[index].normalized_shape for index in (1, 4)] == [(4,), (3,)]


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("relu", torch.relu),
        ("tanh", torch.tanh),
        ("elu", nn.functional.elu),
        ("gelu", nn.functional.gelu),
        ("silu", nn.functional.silu),
    ],
)
def test_each_activation_is_the_function_of_its_name(name, function):
    net = small_mlp(1, 1, name)
    x = torch.linspace(-3, 3, 7)[:, None]
    hidden = function(x @ net[0].weight.T + net[0].bias)
    torch.testing.assert_close(net(x), hidden @ net[2].weight.T + net[2].bias)


def test_every_activation_is_tested():
    assert set(ACTIVATIONS) == {"relu", "tanh", "elu", "gelu", "silu"}


def test_a_deterministic_policy_by_hand():
    policy = DeterministicPolicy(small_mlp(2, 1))
    set_linear(policy.body[0], [[1.0, 2.0], [-1.0, 0.0]], [0.5, 0.0])
    set_linear(policy.body[2], [[0.2, 5.0]], [-0.1])
    # Hidden units: 1 + 2 + 0.5 = 3.5 and relu(-1) = 0; then tanh(0.7 - 0.1).
    assert policy(torch.tensor([[1.0, 1.0]])).item() == pytest.approx(math.tanh(0.6), rel=1e-6)


def test_a_policys_actions_lie_in_the_box_for_any_observation():
    policy = DeterministicPolicy(mlp(3, network([8], "relu"), 2, generator()))
    obs = 10.0 ** torch.arange(-3, 12)[:, None] * torch.tensor([1.0, -1.0, 0.5])
    actions = policy(obs)
    assert actions.shape == (15, 2)
    assert actions.abs().max() <= 1


def test_a_q_function_by_hand():
    q_function = QFunction(small_mlp(3, 1))
    # Observation (1, 10), action 100: the input is 1, 10, 100 in this order.
    set_linear(q_function.body[0], [[1.0, 2.0, 3.0], [-1.0, 0.0, 0.0]], [0.0, 0.0])
    set_linear(q_function.body[2], [[2.0, 7.0]], [0.25])
    value = q_function(torch.tensor([[1.0, 10.0]]), torch.tensor([[100.0]]))
    assert value.shape == (1,)
    assert value.item() == 2 * 321 + 0.25


def test_a_q_function_gives_one_number_a_row():
    q_function = QFunction(mlp(5, network([8], "relu"), 1, generator()))
    assert q_function(torch.zeros(7, 3), torch.zeros(7, 2)).shape == (7,)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_body_is_an_mlp_without_its_last_layer(layer_norm):
    trunk = body(5, network([4, 3], "tanh", layer_norm), generator())
    net = mlp(5, network([4, 3], "tanh", layer_norm), 2, generator())
    x = torch.randn(6, 5, generator=generator(1))
    assert [type(layer) for layer in trunk] == [type(layer) for layer in net[:-1]]
    assert trunk(x).shape == (6, 3)
    assert torch.equal(trunk(x), net[:-1](x))


# A policy and a value


def actor_critic(shared):
    """obs [..., 3] -> Gaussian over two actions, value."""
    rng = generator()
    trunk, policy = body(3, network([4, 5], "tanh"), rng), GaussianPolicy(5, 2, 0.5, rng)
    value = linear(5, 1, rng, OutputLinear)
    return ActorCritic(trunk, policy, value, None if shared else body(3, network([5], "tanh"), rng))


def observations():
    return torch.randn(6, 7, 3, generator=generator(1))


@pytest.mark.parametrize("shared", [False, True])
def test_an_actor_critic_is_its_parts_one_after_the_other(shared):
    net, obs = actor_critic(shared), observations()
    (mean, std), value = net(obs)
    assert mean.shape == std.shape == (6, 7, 2)
    assert value.shape == (6, 7)
    torch.testing.assert_close((mean, std), net.policy(net.trunk(obs)))
    features = (net.trunk if shared else net.value_trunk)(obs)
    torch.testing.assert_close(value, (features @ net.value.weight.T + net.value.bias)[..., 0])


@pytest.mark.parametrize("shared", [False, True])
def test_the_policys_part_alone_equals_that_of_the_whole(shared):
    net, obs = actor_critic(shared), observations()
    whole, _ = net(obs)
    for alone, expected in zip(net.acting()(obs), whole, strict=True):
        assert torch.equal(alone, expected)


def parts_reached(net, loss):
    """The parts of `net` whose parameters get a gradient from `loss`; a part is reached as a whole or not at all."""
    names, params = zip(*net.named_parameters(), strict=True)
    grads = torch.autograd.grad(loss, params, retain_graph=True, allow_unused=True)
    reached, left = set(), set()
    for name, grad in zip(names, grads, strict=True):
        (left if grad is None or not grad.any() else reached).add(name.partition(".")[0])
    assert not reached & left
    return reached


@pytest.mark.parametrize(
    ("shared", "of_policy", "of_value"),
    [(False, {"trunk", "policy"}, {"value_trunk", "value"}), (True, {"trunk", "policy"}, {"trunk", "value"})],
)
def test_policy_and_value_train_their_own_parts_and_the_trunk_they_share(shared, of_policy, of_value):
    net, obs = actor_critic(shared), observations()
    (mean, std), value = net(obs)
    assert parts_reached(net, (mean.square() + std).sum()) == of_policy
    assert parts_reached(net, value.square().sum()) == of_value
    assert {name.partition(".")[0] for name, _ in net.named_parameters()} == of_policy | of_value


# One vector of weights


def make_net(seed=0):
    return mlp(2, network([3], "tanh"), 1, generator(seed))


def test_flattening_changes_no_value_shape_or_name():
    net = make_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x = torch.randn(4, 2, generator=generator())
    y = net(x)
    flat = FlatNetwork(net)
    assert flat.weights.shape == (2 * 3 + 3 + 3 + 1,)
    assert list(flat.state_dict()) == list(before)
    for name, value in flat.state_dict().items():
        assert value.shape == before[name].shape
        assert torch.equal(value, before[name])
    assert torch.equal(flat(x), y)


def test_the_vector_and_the_parameters_are_the_same_memory():
    flat = FlatNetwork(make_net())
    with torch.no_grad():
        flat.weights.copy_(torch.arange(13.0))
        assert flat.module[0].weight.tolist() == [[0, 1], [2, 3], [4, 5]]
        assert flat.module[0].bias.tolist() == [6, 7, 8]
        assert flat.module[2].weight.tolist() == [[9, 10, 11]]
        assert flat.module[2].bias.tolist() == [12]
        flat.module[2].bias.fill_(-1)
    assert flat.weights[12] == -1


def test_a_loaded_state_dict_lands_in_the_vector():
    flat, other = FlatNetwork(make_net(0)), FlatNetwork(make_net(1))
    flat.load_state_dict(other.state_dict())
    assert torch.equal(flat.weights, other.weights)


def test_the_gradient_is_that_of_every_parameter_in_order():
    net = make_net()
    flat = FlatNetwork(net)
    x = torch.randn(4, 2, generator=generator())
    gradient = flat.gradient(flat(x).square().mean())
    net(x).square().mean().backward()
    torch.testing.assert_close(gradient, torch.cat([param.grad.flatten() for param in net.parameters()]))
    assert flat.weights.grad is None


def test_a_frozen_copy_is_independent_and_takes_no_gradient():
    flat = FlatNetwork(make_net())
    frozen = flat.frozen_copy()
    assert torch.equal(frozen.weights, flat.weights)
    assert not frozen.weights.requires_grad
    assert not any(param.requires_grad for param in frozen.module.parameters())
    with torch.no_grad():
        flat.weights.zero_()
    assert frozen.weights.abs().min() > 0


def test_the_last_layer_of_an_mlp_stays_in_float32_where_bfloat16_is_on():
    net = mlp(3, network([8, 8], "relu"), 2, generator())
    seen = []
    for layer in net:
        layer.register_forward_hook(lambda layer, inputs, output: seen.append(output.dtype))
    x = torch.randn(4, 3, generator=generator())
    exact = net(x)
    seen.clear()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = net(x)
    assert seen == [torch.bfloat16] * 4 + [torch.float32]
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.02)
    # More than bfloat16's 8 bits are in use.
    assert (rounded.detach().to(torch.bfloat16) != rounded.detach()).any()


def test_a_residual_layer_adds_its_input_where_it_is_as_wide():
    net = body(3, network([4, 4, 5], "relu", residual=True), generator())
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    first, _, inner, last, _ = net
    assert isinstance(inner, Residual)
    hidden = torch.relu(first(x))
    hidden = hidden + torch.relu(inner[0](hidden))
    torch.testing.assert_close(net(x), torch.relu(last(hidden)))
    plain = body(3, network([4, 4, 5], "relu"), generator())
    for one, other in zip(net.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other), "the same weights are drawn"
