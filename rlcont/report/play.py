"""`rlcont eval`: plays a policy of a run."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

from rlcont.config.run import RunConfig
from rlcont.core.errors import Stopped, UserError
from rlcont.core.protocols import Policy
from rlcont.core.types import EnvSpec
from rlcont.runs.console import format_return, format_returns
from rlcont.runs.evaluations import evaluation_row, write_episodes
from rlcont.runs.files import shown
from rlcont.runs.find import products_folder
from rlcont.runs.folder import load_config
from rlcont.runs.policies import load_policy, misfit, policy_path
from rlcont.training.build import make_policy
from rlcont.training.evaluate import MAX_ENVS, Evaluator
from rlcont.training.interrupt import Interrupt


def load_trained(config: RunConfig, folder: Path, name: str, spec: EnvSpec) -> tuple[Policy, dict[str, Any]]:
    """A policy that the run in `folder` kept, and the facts kept with it."""
    state, facts = load_policy(folder, name)
    policy = make_policy(config, spec)
    if why := misfit(state, policy.policy_state()):
        raise UserError(f"{policy_path(folder, name)}: the policy does not fit the run's config.yaml; {why}")
    policy.load_policy_state(state)
    return policy, facts


def evaluate_run(
    folder: Path,
    policy: str,
    episodes: int,
    seed: int | None,
    *,
    video: bool = False,
    render: bool = False,
    to: Path | None = None,
    csv: Path | None = None,
) -> str:
    """Plays deterministic episodes with a policy of the run in `folder`, and returns the text to print.

    Args:
        seed: of the episodes; None for those of the run's own evaluations.
        video: writes each episode into a file.
        render: shows the episodes in a window, one after the other.
        to: folder of the files; None for videos in the run's folder, or here for a run of the zoo.
        csv: file for a table of the episodes; None for none.
    """
    config = load_config(folder)
    # Absolute, because an environment may change the directory.
    folder, to = folder.absolute(), (to or products_folder(folder) / "videos").absolute()
    csv = csv and csv.absolute()
    mode = {"render_mode": "human" if render else "rgb_array"} if video or render else {}
    env = dataclasses.replace(config.env, kwargs={**config.env.kwargs, **mode})
    seed = config.seed if seed is None else seed
    with contextlib.ExitStack() as stack:
        interrupt = stack.enter_context(Interrupt())
        films = None
        if video:
            from rlcont.report.video import VideoFiles

            films = stack.enter_context(VideoFiles(to, f"{policy}-seed-{seed}"))
        # A run without evaluation may be one whose simulator can be there only once.
        at_once = 1 if render or config.eval.every is None else MAX_ENVS
        evaluate = Evaluator(env, episodes, seed, at_once)
        stack.callback(evaluate.close)
        if films is not None:
            evaluate.watch = films
        trained, facts = load_trained(config, folder, policy, evaluate.spec)
        if "statistics" in facts:
            evaluate.statistics = lambda: facts["statistics"]
        evaluate.tell = lambda text: print(f"evaluating: {text}", flush=True)
        evaluation = evaluate(trained, lambda: interrupt.received is not None)
        if evaluation is None:
            raise Stopped(interrupt.received or 0, "interrupted")
    if csv is not None:
        write_episodes(csv, evaluate.seeds, evaluation)
    row = evaluation_row(evaluation)
    lowest, highest = format_return(row["return_min"]), format_return(row["return_max"])
    text = (
        f"{config.algo_name} on {config.env.id}, policy {policy} of step {facts['step']}: return "
        f"{format_returns(row)} over {episodes} episode{'s' * (episodes > 1)} (lowest {lowest}, highest {highest})"
    )
    return "\n".join([text, *(str(shown(path)) for path in films.paths)]) if films else text
