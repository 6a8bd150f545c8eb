"""The process-wide generators, which nothing in rlcont may draw from."""

import contextlib

import numpy as np
import torch


def _numpy_state():
    state = np.random.get_bit_generator().state["state"]
    return [*state["key"], state["pos"]]


@contextlib.contextmanager
def untouched_global_generators():
    """Fails where the block drew from torch's or numpy's global generator."""
    torch_before, numpy_before = torch.get_rng_state(), _numpy_state()
    yield
    assert torch.equal(torch.get_rng_state(), torch_before)
    np.testing.assert_array_equal(_numpy_state(), numpy_before)
