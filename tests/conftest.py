"""Settings of the whole suite: one torch thread, repeatable property tests, and the probe environments."""

import importlib

import torch
from hypothesis import settings

importlib.import_module("probe_envs")
torch.set_num_threads(1)
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=30)
settings.load_profile("repeatable")
