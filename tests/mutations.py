"""Wrong updates, each with the tests that must notice it: `python tests/mutations.py [PART_OF_A_NAME]`.

Each mutation flips a sign or drops a term in a copy of the project. One that no test notices is printed, and the exit
code is 1.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Mutation(NamedTuple):
    """A piece of source that occurs once in a file, and what replaces it."""

    file: str
    old: str
    new: str
    tests: str


OFF_POLICY, DDPG = "rlcont/algos/off_policy/agent.py", "rlcont/algos/ddpg/agent.py"
D4PG, SAC, A2C, PPO = (f"rlcont/algos/{name}/agent.py" for name in ("d4pg", "sac", "a2c", "ppo"))

MUTATIONS = [
    Mutation(OFF_POLICY, "batch.reward + batch.discount", "batch.reward - batch.discount", "test_ddpg"),
    Mutation(OFF_POLICY, "batch.reward + batch.discount", "batch.discount", "test_ddpg"),
    Mutation(OFF_POLICY, "(batch.weight * losses)", "losses", "test_d4pg"),
    Mutation(OFF_POLICY, "error.square().sum(0)", "error.square().amax(0)", "test_td3"),
    Mutation(OFF_POLICY, "(self.num_updates + 1) %", "self.num_updates %", "test_td3"),
    Mutation(OFF_POLICY, "self.critic(obs, action, 1)[0]", "self.critic(obs, action)[-1]", "test_td3"),
    Mutation(OFF_POLICY, "self.explorer if explore else self.evaluated", "self.explorer", "test_ddpg"),
    Mutation(OFF_POLICY, "polyak_(self.average.weights,", "polyak_(self.average.weights.clone(),", "test_ddpg"),
    Mutation(DDPG, "-self.q_value", "self.q_value", "test_ddpg"),
    Mutation(DDPG, ".amin(0)", ".mean(0)", "test_td3"),
    Mutation(DDPG, "(action + self.smoothing)", "(action - self.smoothing)", "test_td3"),
    Mutation(DDPG, "(action + self.smoothing).clamp(-1, 1)", "(action + self.smoothing)", "test_td3"),
    Mutation(DDPG, "noise.clamp_(-config.target_clip, config.target_clip)", "noise", "test_td3"),
    Mutation(DDPG, "polyak_(self.target_actor.weights", "polyak_(self.target_actor.weights.clone()", "test_ddpg"),
    Mutation(D4PG, "-(target * log_probs)", "(target * log_probs)", "test_d4pg"),
    Mutation(D4PG, ".argmin(0)", ".argmax(0)", "test_d4pg"),
    Mutation(D4PG, "loss.sum(0)", "loss[0]", "test_d4pg"),
    Mutation(D4PG, "loss / (self.support.atoms[-1] - self.support.atoms[0])", "loss", "test_d4pg"),
    Mutation(SAC, "- self.temperature().exp() * log_prob", "+ self.temperature().exp() * log_prob", "test_sac"),
    Mutation(SAC, "- self.temperature().exp() * log_prob", "", "test_sac"),
    Mutation(SAC, "log_prob - self.q_value", "log_prob + self.q_value", "test_sac"),
    Mutation(
        SAC, '(metrics["entropy"] - self.target_entropy)', '(self.target_entropy - metrics["entropy"])', "test_sac"
    ),
    Mutation(SAC, "self.critic(obs, action).amin(0)", "self.critic(obs, action)[0]", "test_sac"),
    Mutation(SAC, "self.normal[1]", "self.normal[0]", "test_sac"),
    Mutation("rlcont/nn/policies.py", "- _log_tanh_slope(sample).sum(-1)", "", "test_sac"),
    Mutation(A2C, "-mean(batch.advantage * log_prob)", "mean(batch.advantage * log_prob)", "test_a2c"),
    Mutation(A2C, "config.value_coef * value_loss", "value_loss", "test_a2c"),
    Mutation(A2C, "- config.entropy_coef * entropy", "+ config.entropy_coef * entropy", "test_a2c"),
    Mutation(A2C, "advantage = advantage - mean(advantage)", "pass", "test_a2c"),
    Mutation(
        "rlcont/nn/returns.py", "reward + discount * next_value - value", "reward + discount * next_value", "test_a2c"
    ),
    Mutation("rlcont/nn/returns.py", "gae_lambda * discount", "discount", "test_returns"),
    Mutation(PPO, "-mean(torch.minimum", "mean(torch.minimum", "test_ppo"),
    Mutation(PPO, "torch.minimum(", "torch.maximum(", "test_ppo"),
    Mutation(PPO, "ratio * batch.advantage, clipped", "clipped * batch.advantage, clipped", "test_ppo"),
    Mutation(PPO, "ratio.clamp(1 - clip_range", "ratio.clamp(1 - 2 * clip_range", "test_ppo"),
    Mutation(PPO, "log_prob - batch.old_log_prob", "batch.old_log_prob - log_prob", "test_ppo"),
    Mutation(PPO, "> target_kl", "< target_kl", "test_ppo"),
]


def is_noticed(mutation: Mutation) -> bool:
    """Whether the tests fail with a mutation."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("rlcont", "configs", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        file = copy / mutation.file
        file.write_text(mutated(mutation))
        # `-m` puts the copy before the installed package.
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/{mutation.tests}.py"]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(done.stdout + done.stderr)
    return done.returncode == 1


def mutated(mutation: Mutation) -> str:
    """The source with a mutation."""
    source = (ROOT / mutation.file).read_text()
    assert source.count(mutation.old) == 1, (
        f"{mutation.file}: {mutation.old!r} occurs {source.count(mutation.old)} times"
    )
    return source.replace(mutation.old, mutation.new)


def main(part: str = "") -> int:
    unnoticed = 0
    for mutation in MUTATIONS:
        if part in mutation.file:
            noticed = is_noticed(mutation)
            unnoticed += not noticed
            what = f"{mutation.file}: {mutation.old!r} -> {mutation.new!r}"
            print(f"{'noticed' if noticed else 'NOT NOTICED'} by {mutation.tests}: {what}", flush=True)
    return min(unnoticed, 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
