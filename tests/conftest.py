"""Settings of the whole suite: one torch thread, repeatable property tests, and the probe environments."""

import probe_envs  # noqa: F401, importing it registers them
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=30)
settings.load_profile("repeatable")
