"""What averages of D4PG's actor are worth: each plays the evaluations of one and the same training.

    OMP_NUM_THREADS=1 python benchmarks/averages.py AVERAGES.csv env=Walker2d-v4 total_steps=150000 seed=0

Averaging changes nothing in training, so the actor itself (rate 1) and its averages are compared without the noise
between runs. The CSV has the mean return of ten deterministic episodes by step and rate (algo.average_rate).
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import torch

import rlcont
from rlcont.algos.d4pg.agent import D4PG
from rlcont.algos.d4pg.config import D4PGConfig
from rlcont.config.compose import make_plan
from rlcont.core.types import Metrics
from rlcont.envs.config import EnvConfig
from rlcont.nn.optim import polyak_
from rlcont.training.evaluate import Evaluator

RATES = (1.0, 0.005, 0.002, 0.001, 0.0005)
EPISODES, EVERY = 10, 5000


class AveragedD4PGConfig(D4PGConfig):
    pass


class AveragedD4PG(D4PG):
    """D4PG that averages its actor at several rates, and writes what each average does."""

    out: Path
    env: EnvConfig
    evaluate: Any = None

    def __init__(self, *arguments: Any, **sizes: Any):
        super().__init__(*arguments, **sizes)
        self.averages = [self.actor.frozen_copy() for _ in RATES]

    def learn(self) -> Metrics:
        before, metrics = self.num_updates, super().learn()
        if self.num_updates > before:
            with torch.no_grad():
                for average, rate in zip(self.averages, RATES, strict=True):
                    polyak_(average.weights, self.actor.weights, rate)
        if self.num_steps % EVERY == 0:
            self.play()
        return metrics

    def play(self) -> None:
        """Adds the evaluations of the moment to the CSV file."""
        cls = type(self)
        if cls.evaluate is None:
            cls.evaluate = Evaluator(cls.env, EPISODES, 0)
            write([["step", *RATES]], cls.out, "w")
        policies = [self.explorer.acting_by(average) for average in self.averages]
        write([[self.num_steps, *(f"{cls.evaluate(policy).returns.mean():.1f}" for policy in policies)]], cls.out, "a")


def write(rows: list[list[Any]], path: Path, mode: str) -> None:
    with path.open(mode, newline="") as file:
        csv.writer(file).writerows(rows)


def main(out: str, *words: str) -> None:
    # The class that training finds is this module's, not the script's.
    from averages import AveragedD4PG

    typed = ["algo=averages:AveragedD4PG", "eval.every=null", "checkpoint.every=null", *words]
    AveragedD4PG.out = Path(out).absolute()
    AveragedD4PG.env = make_plan(typed).config.env
    rlcont.train(*typed)


if __name__ == "__main__":
    main(*sys.argv[1:])
