"""The forward pass of acting, in NumPy.

Acting has few rows, and for these calling PyTorch takes several times as long as the products themselves. So on the
host the forward pass is NumPy's, over the same memory as the network's weights.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from rlcont.core.types import Array
from rlcont.nn.nets import DeterministicPolicy, Residual
from rlcont.nn.normalize import RunningNorm
from rlcont.nn.policies import BetaPolicy, BoundedGaussianPolicy, GaussianPolicy, SquashedGaussian

Forward = Callable[[Array], Any]
"""From an array, rows [B, O], to an array or a tuple of them."""


def make_forward(module: nn.Module, normalizer: RunningNorm | None, device: str) -> Forward:
    """`module` of normalised observations, from arrays to arrays, by its weights of the moment.

    A module on a GPU is called directly.
    """
    forward = on_arrays(module) if device == "cpu" else _through_torch(module, device)
    if normalizer is None:
        return forward
    return lambda obs: forward(normalizer.on_array(obs))


NONLINEARITIES: dict[type[nn.Module], Forward] = {
    nn.ReLU: lambda x: np.maximum(x, 0),
    nn.Tanh: np.tanh,
    nn.ELU: lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    nn.SiLU: lambda x: x * (0.5 + 0.5 * np.tanh(0.5 * x)),  # x sigmoid(x), without an exponential that overflows.
}


def on_arrays(module: nn.Module) -> Forward:
    """The forward pass of `module` in NumPy, over the memory of its parameters; a layer not known here is called."""
    match module:
        case Residual():
            inner = _in_turn(module)
            return lambda x: x + inner(x)
        case nn.Sequential():
            return _in_turn(module)
        case nn.Linear():
            weight, bias = _array(module.weight).T, _array(module.bias)
            return lambda x: x @ weight + bias
        case nn.LayerNorm():
            return _layer_norm(_array(module.weight), _array(module.bias), np.float32(module.eps))
        case DeterministicPolicy():
            body = on_arrays(module.body)
            return lambda obs: np.tanh(body(obs))
        case BoundedGaussianPolicy():
            mean, log_std = on_arrays(module.mean), _array(module.log_std)
            return lambda features: (np.tanh(mean(features)), np.exp(log_std))
        case GaussianPolicy():
            mean, log_std = on_arrays(module.mean), _array(module.log_std)
            return lambda features: (mean(features), np.exp(log_std))
        case SquashedGaussian():
            return _mean_and_std(on_arrays(module.body), module.LOG_STD)
        case BetaPolicy():
            alpha, beta = on_arrays(module.alpha), on_arrays(module.beta)
            return lambda features: (1 + _softplus(alpha(features)), 1 + _softplus(beta(features)))
    return NONLINEARITIES.get(type(module)) or _through_torch(module, "cpu")


def _in_turn(modules: nn.Sequential) -> Forward:
    layers = [on_arrays(layer) for layer in modules]

    def forward(x: Array) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    return forward


def _layer_norm(weight: Array, bias: Array, eps: np.float32) -> Forward:
    def forward(x: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + eps) * weight + bias

    return forward


def _mean_and_std(body: Forward, bounds: tuple[float, float]) -> Forward:
    def forward(obs: Array) -> Any:
        mean, log_std = np.split(body(obs), 2, axis=-1)
        return mean, np.exp(np.clip(log_std, *bounds))

    return forward


def _softplus(x: Array) -> Array:
    return np.logaddexp(x, np.float32(0))


def _array(parameter: torch.Tensor) -> Array:
    """A view of the parameter's memory, which shows every later change."""
    return parameter.detach().numpy()


def _through_torch(module: nn.Module, device: str) -> Forward:
    def forward(obs: Array) -> Any:
        with torch.inference_mode():
            outputs = module(torch.from_numpy(obs).to(device))
            if isinstance(outputs, torch.Tensor):
                return outputs.cpu().numpy()
            return tuple(output.cpu().numpy() for output in outputs)

    return forward
