"""Writes the best trial as a tuned file."""

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import FrozenTrial

from rlcont.config.compose import make_plan
from rlcont.core.spelling import flat_keys, nested_keys
from rlcont.runs.console import format_return
from rlcont.runs.files import write_whole
from rlcont.search.plan import SearchPlan

KEPT = ("algo", "total_steps", "num_envs", "eval")
"""Keys that belong in a tuned file. The other keys concern one run or one machine."""


def write_tuned(plan: SearchPlan, folder: Path, best: FrozenTrial, counts: dict[str, int]) -> Path:
    """Writes tuned/<algo>/<env>.yaml into the search's folder; returns its path.

    The file holds all values of the best trial that differ from the algorithm's own, but for the budget that was typed
    for the search. It can replace the file in configs/tuned.
    """
    algo, env = plan.config.algo_name, plan.config.env.id
    typed = shlex.join(["rlcont", "search", *plan.overrides])
    trials = ", ".join(f"{count} {name}" for name, count in counts.items())
    assert best.value is not None
    listed = ", ".join(plan.space.seeds)
    seeds = f"mean of seeds {listed}" if len(plan.space.seeds) > 1 else f"seed {listed}"
    text = (
        "# @package _global_\n"
        f"# Source: {typed} ({trials}).\n"
        f"# Measured: {format_return(best.value)} ({seeds}) at {plan.config.total_steps} steps, last evaluation.\n"
    )
    path = folder / "tuned" / algo / f"{env}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (text + yaml.safe_dump(_settings(plan, best.params), sort_keys=False)).encode())
    return path


def _settings(plan: SearchPlan, values: dict[str, Any]) -> dict[str, Any]:
    plain = make_plan([f"algo={plan.config.algo_name}", f"env={plan.config.env.id}", "tuned=none"])
    before = dataclasses.asdict(plain.config)
    after = dataclasses.asdict(plan.winner(values))
    old, new = (flat_keys({key: values[key] for key in KEPT}) for values in (before, after))
    settings = nested_keys({key: value for key, value in new.items() if value != old[key]})
    if after["noise"] != before["noise"]:
        # The noise of a tuned file counts only while noise=auto, so that a typed noise wins.
        settings.setdefault("algo", {})["auto_noise"] = after["noise"]
    return settings
