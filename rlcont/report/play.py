"""`rlcont eval`: plays a policy of a run."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

from rlcont.config.run import RunConfig
from rlcont.core.protocols import Policy
from rlcont.envs.box import BoxEnv
from rlcont.runs.evaluations import evaluation_row
from rlcont.runs.folder import load_config
from rlcont.runs.policies import load_policy
from rlcont.training.build import make_policy
from rlcont.training.evaluate import MAX_ENVS, Evaluator


def load_trained(folder: Path, name: str) -> tuple[RunConfig, Policy, dict[str, Any]]:
    """The configuration of the run in `folder`, a policy that it kept, and the facts kept with that."""
    config = load_config(folder)
    state, facts = load_policy(folder, name)
    policy = make_policy(config, BoxEnv(config.env).spec)
    policy.load_policy_state(state)
    return config, policy, facts


def evaluate_run(
    folder: Path, policy: str, episodes: int, seed: int | None, *, video: bool = False, render: bool = False
) -> str:
    """Plays deterministic episodes with a policy of the run in `folder`, and returns the text to print.

    Args:
        seed: of the episodes; None for those of the run's own evaluations.
        video: writes each episode into a file in the run's folder.
        render: shows the episodes in a window, one after the other.
    """
    config, trained, facts = load_trained(folder, policy)
    mode = {"render_mode": "human" if render else "rgb_array"} if video or render else {}
    env = dataclasses.replace(config.env, kwargs={**config.env.kwargs, **mode})
    seed = config.seed if seed is None else seed
    with contextlib.ExitStack() as stack:
        watch: dict[str, Any] = {}
        if video:
            from rlcont.report.video import VideoFiles

            files = stack.enter_context(contextlib.closing(VideoFiles(folder / "videos", f"{policy}-seed-{seed}")))
            watch = {"watch": files}
        evaluate = Evaluator(env, episodes, seed, at_once=1 if render else MAX_ENVS, **watch)
        stack.callback(evaluate.close)
        evaluation = evaluate(trained)
    assert evaluation is not None
    row = evaluation_row(evaluation)
    text = (
        f"{config.algo_name} on {config.env.id}, policy {policy} of step {facts['step']}: return "
        f"{row['return_mean']:.1f} ± {row['return_std']:.1f} over {episodes} episodes "
        f"(lowest {row['return_min']:.1f}, highest {row['return_max']:.1f})"
    )
    return "\n".join([text, *map(str, files.paths)]) if video else text
