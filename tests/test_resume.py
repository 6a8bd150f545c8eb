"""A run that was interrupted ends as one that was not, to the last bit."""

import pytest
from interruptions import differences, train
from tiny import TINY, TINY_A2C, tiny

ALGORITHMS = {"ddpg": TINY, "a2c": TINY_A2C}
"""Every algorithm is to be here."""
NORMALIZED = {"ddpg": ["noise=ou", "algo.normalize_obs=true", "algo.normalize_reward=true"], "a2c": []}


@pytest.mark.parametrize("env", ["Pendulum-v1", "HalfCheetah-v4", "Hopper-v4"])
@pytest.mark.parametrize("algo", ALGORITHMS)
def test_an_interrupted_run_equals_one_that_was_not(tmp_path, algo, env):
    overrides = tiny(f"env={env}", "tuned=none", *NORMALIZED[algo], base=ALGORITHMS[algo])
    whole = train([*overrides, f"output={tmp_path}/whole"])
    parts = train([*overrides, f"output={tmp_path}/parts", "checkpoint.every=70"], [74, 75, 231, 399])
    assert differences(whole, parts) == []
