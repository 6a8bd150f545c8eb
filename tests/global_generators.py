"""The process-wide generators, which nothing in rlcont may draw from."""

import contextlib

import numpy as np
import torch


def _numpy_state():
    # The rule forbids drawing from the legacy global generator. Whether anyone did can only be read off its state.
    return np.random.get_state()[1].copy()  # noqa: NPY002


@contextlib.contextmanager
def untouched_global_generators():
    """Fails where the block drew from torch's or numpy's global generator."""
    torch_before, numpy_before = torch.get_rng_state(), _numpy_state()
    yield
    assert torch.equal(torch.get_rng_state(), torch_before)
    np.testing.assert_array_equal(_numpy_state(), numpy_before)
