"""Networks: multilayer perceptrons, policies and critics, and any of them over one flat vector of weights."""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from rlcont.core.schema import BodyConfig, NetworkConfig

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


WIDTHS_SUMMED_IN_HALVES = (5, 6, 7, 9, 10, 11)
"""Numbers of outputs for which MKL, with two threads, sums the gradient of the weights over half the batch each."""


class _LinearOfFewOutputs(torch.autograd.Function):
    """x Wᵀ + b whose gradients do not depend on whether there are one or two threads; equal to those of one.

    The gradient of W is the product of MKL for 16 outputs, of which those beyond the layer's are zero.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return nn.functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, weight = ctx.saved_tensors
        num_out, num_in = weight.shape
        grad, rows = grads[0].reshape(-1, num_out), x.reshape(-1, num_in)
        padded = nn.functional.pad(grad, (0, 16 - num_out))
        return (grad @ weight).view_as(x), (padded.t() @ rows)[:num_out], grad.sum(0)


class OutputLinear(nn.Linear):
    """A linear layer that computes in float32 even where bfloat16 is on.

    Its outputs are values, logits or actions. bfloat16 has 8 bits: a value of 1000 would be rounded to a multiple
    of 4, which is more than most TD errors.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.is_autocast_enabled(x.device.type):
            return self._linear(x)
        with torch.autocast(x.device.type, enabled=False):
            return self._linear(x.float())

    def _linear(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() and x.requires_grad and self.out_features in WIDTHS_SUMMED_IN_HALVES:
            return _LinearOfFewOutputs.apply(x, self.weight, self.bias)
        return super().forward(x)


class LayerNorm(nn.LayerNorm):
    """Layer normalisation whose gradients are summed by one thread, so that they do not depend on their number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_compiling() or not torch.is_grad_enabled() or x.is_cuda:
            return super().forward(x)
        return _LayerNorm.apply(x, self.weight, self.bias, self.eps)


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
        normalised, mean, rstd = torch.native_layer_norm(x, weight.shape, weight, bias, eps)
        ctx.save_for_backward(x, mean, rstd, weight, bias)
        return normalised

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, mean, rstd, weight, bias = ctx.saved_tensors
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        sums = torch.ops.aten.native_layer_norm_backward(
            grads[0], x, weight.shape, mean, rstd, weight, bias, list(ctx.needs_input_grad[:3])
        )
        torch.set_num_threads(threads)
        return (*sums, None)


def linear(num_in: int, num_out: int, generator: torch.Generator, layer_type: type[nn.Linear] = nn.Linear) -> nn.Linear:
    """A linear layer with weights and bias uniform in ±1/sqrt(num_in), drawn from `generator`.

    Source: PyTorch's own default, which the published DDPG figures were made with.
    Differs: the original paper (arXiv:1509.02971, section 7) draws the last layer from ±3e-3.
    """
    layer = _unset(layer_type, num_in, num_out, generator.device)
    bound = num_in**-0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def orthogonal(
    num_in: int, num_out: int, generator: torch.Generator, layer_type: type[nn.Linear] = nn.Linear, gain: float = 2**0.5
) -> nn.Linear:
    """A linear layer whose weights are orthogonal, times `gain`, and whose bias is 0.

    Source: arXiv:1312.6120.
    """
    layer = _unset(layer_type, num_in, num_out, generator.device)
    nn.init.orthogonal_(layer.weight, gain, generator)
    nn.init.zeros_(layer.bias)
    return layer


def _unset(layer_type: type[nn.Linear], num_in: int, num_out: int, device: torch.device) -> nn.Linear:
    """A linear layer whose weights and bias are still to be written.

    `nn.utils.skip_init` makes the same layer, and its `empty_like` on the meta device loads sympy and all that torch
    knows of symbolic shapes: 0.8 s of every start on a slow core.
    """
    layer = layer_type(num_in, num_out, device="meta")
    layer.weight = nn.Parameter(torch.empty(num_out, num_in, device=device))
    layer.bias = nn.Parameter(torch.empty(num_out, device=device))
    return layer


def body(
    num_in: int, net: BodyConfig, generator: torch.Generator, make_layer: Callable[..., nn.Linear] = linear
) -> nn.Sequential:
    """num_in -> the hidden layers of `net`, each with its nonlinearity."""
    residual = isinstance(net, NetworkConfig) and net.residual
    layers: list[nn.Module] = []
    for i, width in enumerate(net.hidden):
        layer: list[nn.Module] = [make_layer(num_in, width, generator)]
        if net.layer_norm:
            layer.append(LayerNorm(width, device=generator.device))
        layer.append(ACTIVATIONS[net.activation]())
        layers += [Residual(*layer)] if residual and i > 0 and width == num_in else layer
        num_in = width
    return nn.Sequential(*layers)


def mlp(num_in: int, net: NetworkConfig, num_out: int, generator: torch.Generator) -> nn.Sequential:
    """num_in -> the hidden layers of `net` -> num_out, with nothing after the last layer."""
    return body(num_in, net, generator).append(linear(net.hidden[-1], num_out, generator, OutputLinear))


class Residual(nn.Sequential):
    """x + layers(x).

    Source: arXiv:1512.03385, section 3.1.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + super().forward(x)


class FixedNorm(nn.Module):
    """obs [B, O], shifted and scaled, within ±clip."""

    shift: torch.Tensor
    scale: torch.Tensor

    def __init__(self, shift: torch.Tensor, scale: torch.Tensor, clip: float):
        super().__init__()
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)
        self.clip = clip

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        return ((obs - self.shift) * self.scale).clamp(-self.clip, self.clip)


class DeterministicPolicy(nn.Module):
    """obs [B, O] -> action [B, A] in [-1, 1]."""

    def __init__(self, body: nn.Sequential):
        super().__init__()
        self.body = body

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.body(obs))


class LogScalar(nn.Module):
    """The logarithm of a learned positive number, which begins at `value`."""

    def __init__(self, value: float, device: str):
        super().__init__()
        self.log = nn.Parameter(torch.tensor(value, device=device).log())

    def forward(self) -> torch.Tensor:
        return self.log


class Critic(nn.Module):
    """(obs [B, O], action [B, A]) -> [B, K], such as the logits of a distribution over K atoms."""

    def __init__(self, body: nn.Sequential):
        super().__init__()
        self.body = body

    def forward(self, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return self.body(torch.cat([obs, action], dim=-1))


class QFunction(Critic):
    """(obs [B, O], action [B, A]) -> value [B]."""

    def forward(self, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return super().forward(obs, action).squeeze(-1)


class Critics(nn.Module):
    """Several critics side by side: (obs [B, O], action [B, A]) -> [C, B, ...], of the first `num` or of all."""

    def __init__(self, critics: Sequence[nn.Module]):
        super().__init__()
        self.critics = nn.ModuleList(critics)

    def forward(self, obs: torch.Tensor, action: torch.Tensor, num: int | None = None) -> torch.Tensor:
        return torch.stack([critic(obs, action) for critic in list(self.critics)[:num]])


class ActorCritic(nn.Module):
    """obs [..., O] -> (parameters of the policy's distribution, value [...]), with a trunk for both or one for each."""

    def __init__(self, trunk: nn.Module, policy: nn.Module, value: nn.Linear, value_trunk: nn.Module | None):
        super().__init__()
        self.trunk = trunk
        self.policy = policy
        self.value = value
        self.value_trunk = value_trunk

    def forward(self, obs: torch.Tensor, value_only: bool = False) -> Any:
        """Both, or the value alone, which spares the policy's trunk where it has its own."""
        if value_only:
            return self.value((self.value_trunk or self.trunk)(obs)).squeeze(-1)
        features = self.trunk(obs)
        value_features = features if self.value_trunk is None else self.value_trunk(obs)
        return self.policy(features), self.value(value_features).squeeze(-1)

    def acting(self) -> nn.Sequential:
        """The policy's part alone, obs [..., O] -> parameters of its distribution, with the same weights."""
        return nn.Sequential(self.trunk, self.policy)


class FlatNetwork:
    """A network whose parameters are views of one vector, so that an optimiser or a soft update is one operation.

    Writing to `weights` writes to the parameters of `module`, whose names and shapes stay as they were. Eager code
    runs the module itself; code being compiled sees a function of the vector alone, for a compiler cannot know
    that a dozen parameters and the vector share their memory.

    Shapes:
        weights [N].
    """

    def __init__(self, module: nn.Module, *, trainable: bool = True):
        named = dict(module.named_parameters())
        self.module = module
        self._params = list(named.values())
        self._shapes = tuple((name, param.shape) for name, param in named.items())
        self._sizes = tuple(param.numel() for param in self._params)
        self.weights = _flat([param.detach() for param in self._params])
        for param, view in zip(self._params, self.views(self.weights).values(), strict=True):
            param.data = view
            param.requires_grad_(trainable)
        self.weights.requires_grad_(trainable)

    def __call__(self, *inputs: Any) -> Any:
        if torch.compiler.is_compiling():
            return functional_call(self.module, self.views(self.weights), inputs)
        return self.module(*inputs)

    def gradient(self, loss: torch.Tensor) -> torch.Tensor:
        """The gradient [N] of a scalar loss; no other network's is computed."""
        if torch.compiler.is_compiling():
            return torch.autograd.grad(loss, [self.weights])[0]
        return _flat(torch.autograd.grad(loss, self._params))

    def frozen_copy(self) -> "FlatNetwork":
        """An independent network with the same weights that is never differentiated: a target network."""
        return FlatNetwork(copy.deepcopy(self.module), trainable=False)

    def state_dict(self) -> dict[str, torch.Tensor]:
        return self.module.state_dict()

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.module.load_state_dict(state)

    def last_layers(self, *vectors: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The stretches of vectors [N] that belong to weight and bias of each output layer, in their shapes."""
        names = [name for name, layer in self.module.named_modules() if isinstance(layer, OutputLinear)]
        views = [self.views(vector.detach()) for vector in vectors]
        return [(each[f"{name}.weight"], each[f"{name}.bias"]) for each in views for name in names]

    def views(self, vector: torch.Tensor) -> dict[str, torch.Tensor]:
        """A vector [N] with a number for each weight, such as an optimiser's, in the parameters' shapes, by name."""
        stretches = vector.split(self._sizes)
        pairs = zip(self._shapes, stretches, strict=True)
        return {name: stretch.view(shape) for (name, shape), stretch in pairs}


def _flat(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])
