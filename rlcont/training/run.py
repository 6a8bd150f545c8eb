"""Starts and resumes runs, and prints what they are and how they end."""

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from rlcont.config.actors import RayActors
from rlcont.config.names import folders, option_file, short
from rlcont.config.run import RunConfig
from rlcont.core.agent import Agent
from rlcont.core.errors import UserError, one_line
from rlcont.core.spelling import counted
from rlcont.envs.selftest import findings
from rlcont.runs.checkpoint import Checkpoints
from rlcont.runs.console import format_returns, span
from rlcont.runs.evaluations import evaluation_row
from rlcont.runs.files import shown
from rlcont.runs.folder import add_to_description, create_run_folder, in_use, load_config
from rlcont.runs.policies import load_policy, misfit
from rlcont.runs.resume import ResumePlan
from rlcont.training.build import RunParts, build
from rlcont.training.interrupt import Interrupt
from rlcont.training.loop import Schedule, train
from rlcont.training.observer import RunObserver
from rlcont.training.preflight import check_spaces

ENDING = "the run ends at its next step, after what is being compiled or evaluated; once more ends it at once"
"""What is told where it takes a while."""


def run(config: RunConfig, choices: dict[str, str | None], folder: Path | None = None) -> Path:
    """Trains a new run in `folder`, or in a new folder; returns the folder."""
    # Absolute from here on, and files read: an environment may change the working directory.
    output, folder = Path(config.output).absolute(), folder and folder.absolute()
    init = None if config.init is None else Path(config.init).absolute()
    title = f"{_name(config)}, {_tuned(choices['tuned'])}{_own_files(choices)}"
    with ExitStack() as stack:
        parts = build(config, stack)
        found = _findings(config, parts)
        if init is not None:
            start_from(init, parts.training.agent)
        interrupt = stack.enter_context(Interrupt(ENDING))
        folder = folder or create_run_folder(output, config, choices)
        stack.enter_context(in_use(folder))
        add_to_description(folder, {**_computed(parts), "spaces": parts.env.facts()})
        print(f"{title}; {shown(folder)}", flush=True)
        _print_machine(config, parts, found)
        checkpoints = Checkpoints(folder, config.checkpoint.keep)
        _train(config, parts, RunObserver(config, folder, parts, checkpoints, interrupt))
    return folder


def resume(plan: ResumePlan) -> Path:
    """Resumes a run from its newest whole checkpoint; returns its folder."""
    plan = dataclasses.replace(plan, folder=plan.folder.absolute())
    config, folder = plan.config, plan.folder
    with ExitStack() as stack:
        stack.enter_context(in_use(folder))
        parts = build(config, stack, plan.threads, plan.workers)
        check_spaces(folder, parts.env.facts())
        found = _findings(config, parts)
        interrupt = stack.enter_context(Interrupt(ENDING))
        training = parts.training
        checkpoints = Checkpoints(folder, config.checkpoint.keep)
        state = checkpoints.load(training.agent.rows)
        with _fitting(folder):
            training.load_state_dict(state["training"])
        updated = plan.updated_packages()
        plan.record(training.step, _computed(parts))
        print(f"{_name(config)}, from step {training.step}; {shown(folder)}", flush=True)
        if plan.rescheduled:
            print(
                f"{', '.join(plan.rescheduled)}: scheduled over total_steps; the numbers differ from those of a run "
                f"that began with total_steps={config.total_steps}",
                flush=True,
            )
        if updated:
            print(f"{', '.join(updated)}; last digits may differ from those of an uninterrupted run", flush=True)
        _print_machine(config, parts, found)
        with _fitting(folder):
            observer = RunObserver(config, folder, parts, checkpoints, interrupt, state["observer"])
        _train(config, parts, observer)
    return folder


@contextmanager
def _fitting(folder: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise UserError(f"{folder}: its checkpoint does not fit the run ({one_line(error)})") from error


def _computed(parts: RunParts) -> dict[str, Any]:
    """How a run is computed, for its description."""
    computed = {"threads": torch.get_num_threads(), "workers": parts.workers}
    return {"acceleration": parts.acceleration.facts() | computed}


def start_from(run: Path, agent: Agent) -> None:
    """Gives an agent the last policy of a run: its weights and its normaliser."""
    state, _ = load_policy(run, "last")
    if why := misfit(state, agent.policy_state()):
        algo = load_config(run).algo_name
        raise UserError(f"init={shown(run)}: the policy of that run of algo={algo} does not fit; {why}")
    agent.load_policy_state(state)


def _findings(config: RunConfig, parts: RunParts) -> list[str]:
    is_remote = isinstance(config.actors, RayActors)
    return findings(parts.env, saves=config.checkpoint.every is not None, is_remote=is_remote)


def _tuned(choice: str | None) -> str:
    """The tuned file of a run, with its folder where that is a user's own, and whether its settings were measured."""
    path = option_file("tuned", choice) if choice and choice != "none" else None
    if path is None:
        return "no tuned file" if choice == "none" else "no tuned file for this pair"
    measured = ", not measured" if "not measured" in path.read_text().lower() else ""
    return f"{short(path).removeprefix('configs/').removesuffix('.yaml')}{measured}"


def _own_files(choices: dict[str, str | None]) -> str:
    """The folders of a user's own that gave a chosen file."""
    paths = [option_file(group, choice) for group, choice in choices.items() if choice and group != "tuned"]
    used = [folder for folder in folders()[:-1] if any(path and path.is_relative_to(folder) for path in paths)]
    return "".join(f", with files of {folder}" for folder in used)


def _name(config: RunConfig) -> str:
    return f"{config.algo_name} on {config.env.id}, seed {config.seed}"


def _print_machine(config: RunConfig, parts: RunParts, found: list[str]) -> None:
    threads = torch.get_num_threads()
    stepped = f"; {config.num_envs} environments in {parts.workers} processes" if parts.workers > 1 else ""
    if isinstance(config.actors, RayActors):
        stepped = f"; {counted(config.actors.num, 'actor')} of Ray"
    acceleration = parts.acceleration
    print(f"{acceleration}, {counted(threads, 'thread')} on {acceleration.device}{stepped}", flush=True)
    if parts.env.spec.max_episode_steps is None:
        print(f"{config.env.id} is registered without a time limit; env.max_episode_steps=N sets one", flush=True)
    for line in found:
        print(line, flush=True)


def _train(config: RunConfig, parts: RunParts, observer: RunObserver) -> None:
    """Trains to the end and prints the last evaluation."""
    due = Schedule(config.total_steps, config.eval.every, config.log.every, config.checkpoint.every, config.stop_at)
    with observer:
        evaluation = train(parts.training, parts.evaluate, observer, due)
        reached = f"reached stop_at={config.stop_at:g}" if parts.training.has_reached(config.stop_at) else None
        observer.status.update(error=reached)
    figure = "no evaluation"
    if evaluation is not None:
        returns = format_returns(evaluation_row(evaluation))
        figure = f"last evaluation {returns} ({counted(config.eval.episodes, 'episode')}, mean ± standard deviation)"
    ending = f"{figure}, {reached}" if reached else figure
    steps = f"{parts.training.step} steps in {span(observer.seconds)}"
    print(f"{_name(config)}: {steps}, {ending}; {shown(observer.folder)}")
