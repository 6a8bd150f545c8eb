"""Trains a peer's DDPG with its published settings and writes its evaluations, for the time to a return.

Run it with the peer's own interpreter, once per seed:

    .bench/sb3/bin/python benchmarks/peers/steps_to_return.py sb3 --seed 0
    .bench/sbx/bin/python benchmarks/peers/steps_to_return.py sbx --seed 0

The settings are RL Baselines3 Zoo's for DDPG on HalfCheetah-v4 (hyperparams/ddpg.yml, commit 22e3ff2); SBX, which
has no settings file of its own, shares them. Everything that they do not name is the library's default.
"""

import argparse
import csv
import importlib
import statistics
from pathlib import Path

import gymnasium
import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv
from window import ENV_ID

LIBRARIES = {"sb3": "stable_baselines3", "sbx": "sbx"}
FOLDER = Path(__file__).parents[2] / "docs" / "results" / "peers" / ENV_ID

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("peer", choices=LIBRARIES)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--steps", type=int, default=1_000_000, help="environment steps (1000000)")
parser.add_argument("--every", type=int, default=10_000, help="steps between evaluations (10000)")
parser.add_argument("--episodes", type=int, default=10, help="deterministic episodes of an evaluation (10)")
parser.add_argument("--until", type=float, help="stop at the first evaluation that reaches this return")
parser.add_argument("--folder", type=Path, default=FOLDER, help="where <peer>-s<seed>.csv goes")
arguments = parser.parse_args()


class Evaluation(BaseCallback):
    """Appends a row to the CSV every `--every` steps, from the same seed each time."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.envs = DummyVecEnv([lambda: Monitor(gymnasium.make(ENV_ID))])

    def _on_training_start(self) -> None:
        # "x": a finished measurement is never overwritten.
        with self.path.open("x", newline="") as file:
            csv.writer(file).writerow(["step", "return_mean", "return_std", "return_min", "return_max"])
        self._evaluate()

    def _on_step(self) -> bool:
        if self.num_timesteps % arguments.every != 0:
            return True
        mean = self._evaluate()
        return arguments.until is None or mean < arguments.until

    def _evaluate(self) -> float:
        self.envs.seed(1000 + arguments.seed)
        returns, _ = evaluate_policy(
            self.model, self.envs, arguments.episodes, deterministic=True, return_episode_rewards=True
        )
        mean, deviation = statistics.mean(returns), statistics.stdev(returns) if len(returns) > 1 else 0.0
        numbers = [f"{value:.6g}" for value in (mean, deviation, min(returns), max(returns))]
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([self.num_timesteps, *numbers])
        print(f"{self.num_timesteps} steps: {mean:.1f} ± {deviation:.1f}", flush=True)
        return mean


ddpg = importlib.import_module(LIBRARIES[arguments.peer]).DDPG
model = ddpg(
    "MlpPolicy",
    ENV_ID,
    learning_starts=10_000,
    action_noise=NormalActionNoise(np.zeros(6), np.full(6, 0.1)),
    train_freq=1,
    gradient_steps=1,
    learning_rate=1e-3,
    batch_size=256,
    policy_kwargs={"net_arch": [400, 300]},
    seed=arguments.seed,
    device="cpu",
)
arguments.folder.mkdir(parents=True, exist_ok=True)
model.learn(arguments.steps, callback=Evaluation(arguments.folder / f"{arguments.peer}-s{arguments.seed}.csv"))
