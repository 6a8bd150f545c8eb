"""The best trial as a file for configs/tuned."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rlcont.config.compose import compose_job
from rlcont.config.run import to_container
from rlcont.config.validate import validate
from rlcont.core.spelling import flat_keys
from rlcont.runs.console import format_return
from rlcont.runs.files import write_whole
from rlcont.search.plan import SearchPlan

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

KEPT = ("algo", "total_steps", "num_envs", "eval")
"""What of a configuration belongs to the settings of a task; the rest is of one run or one machine."""


def write_tuned(plan: SearchPlan, folder: Path, best: FrozenTrial, counts: dict[str, int]) -> Path:
    """Writes tuned/<algo>/<env>.yaml into the search's folder: all by which the best trial differs from the algorithm's
    own values, so that it can take the place of the file in configs/tuned.
    """
    algo, env = plan.config.algo_name, plan.config.env.id
    typed = shlex.join(["rlcont", "search", *plan.overrides])
    trials = ", ".join(f"{count} {name}" for name, count in counts.items())
    assert best.value is not None
    seeds = f"mean of seeds {', '.join(plan.space.seeds)}"
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
    plain = compose_job([f"algo={plan.config.algo_name}", f"env={plan.config.env.id}", "tuned=none"])
    before = to_container(validate(plain.container))
    after = to_container(plan.run(values, plan.space.seeds[0]).config)
    settings: dict[str, Any] = {}
    old = flat_keys({key: before[key] for key in KEPT})
    for key, value in flat_keys({key: after[key] for key in KEPT}).items():
        if value != old[key]:
            *parents, name = key.split(".")
            place = settings
            for parent in parents:
                place = place.setdefault(parent, {})
            place[name] = value
    if after["noise"] != before["noise"]:
        # A tuned file describes noise as what noise=auto stands for.
        settings.setdefault("algo", {})["auto_noise"] = after["noise"]
    return settings
