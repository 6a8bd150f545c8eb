"""What each command does; its docstring is the text of its help.

torch and Gymnasium load only after the command line is known to be right.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rlcont.core.errors import UserError, require
from rlcont.core.spelling import counted, spelled

if TYPE_CHECKING:
    from rlcont.config.compose import Plan
    from rlcont.search.plan import SearchPlan

LAUNCHERS = {"hydra/launcher=slurm": ("slurm", "submitit"), "hydra/launcher=ray_cluster": ("ray-launcher", "ray")}
"""The extra and the package that the launchers in configs/ need."""


def train(*, overrides: list[str], flags: set[str]) -> None:
    """Trains one agent, or every job of a sweep."""
    if flags & {"-m", "--multirun"}:
        return _sweep(overrides, only_list="--cfg" in flags)
    if "--cfg" in flags:
        from rlcont.runs.folder import config_text

        plan = _checked(overrides)
        print("".join(f"# {group}: {spelled(choice)}\n" for group, choice in plan.choices.items()), end="")
        return print(config_text(plan.config), end="")
    train_one(overrides)
    return None


def train_one(overrides: list[str]) -> Path:
    """Trains one agent; returns the folder of its run."""
    plan = _checked(overrides)
    from rlcont.core.resources import prepare_threads

    prepare_threads()
    from rlcont.training.run import run

    return run(plan.config, plan.choices)


def _checked(overrides: list[str]) -> Plan:
    """The plan of a run that can start here."""
    for override in overrides:
        if override.startswith("sweep."):
            raise UserError(f"{override}: counts only in a sweep; add -m")
    _refuse_search(overrides)
    from rlcont.config.compose import chosen_files, make_plan

    chosen_files.cache_clear()  # A process that calls rlcont.train again may have edited them, or changed its folder.
    plan = make_plan(overrides)
    from rlcont.training.preflight import check_runs  # It loads Gymnasium, which a mistake should not wait for.

    check_runs([plan.config])
    return plan


def _refuse_search(overrides: list[str]) -> None:
    for override in overrides:
        if override.startswith("search."):
            raise UserError(f"{override}: counts only in a search, as in: rlcont search {override} ...")


def _sweep(overrides: list[str], *, only_list: bool) -> None:
    """Checks every job, then lists or runs them, or hands them to the Hydra launcher or sweeper that was typed."""
    _refuse_search(overrides)
    for launcher, (extra, package) in LAUNCHERS.items():
        if launcher in overrides:
            require(launcher, extra, package)
    by_hydra = any(override.startswith(("hydra/launcher=", "hydra/sweeper=")) for override in overrides)
    for override in overrides:
        if override.lstrip("+~").startswith("hydra") and not by_hydra:
            raise UserError(f"{override}: counts only with a launcher of Hydra's, as in hydra/launcher=basic")
        if override.startswith("sweep.") and by_hydra:
            raise UserError(f"{override}: does not count with a launcher or sweeper of Hydra's")
    from rlcont.config.compose import expand_sweep
    from rlcont.sweep.plan import check_agreement, check_difference, make_folders, names_of
    from rlcont.sweep.shares import jobs_at_once

    plans = _plans(expand_sweep(overrides), overrides)
    if not by_hydra:
        check_agreement(plans)
    check_difference(plans, overrides)
    from rlcont.training.preflight import check_runs

    at_once = 1 if by_hydra else jobs_at_once(plans[0].sweep.jobs, len(plans))
    check_runs([plan.config for plan in plans], at_once)
    _check_device({plan.config.device for plan in plans})
    if only_list:
        lines = [f"{name}: {' '.join(plan.overrides)}" for name, plan in zip(names_of(plans), plans, strict=True)]
        return print(*lines, f"{counted(len(plans), 'job')}, {at_once} at once", sep="\n")
    if by_hydra:
        from rlcont.sweep.by_hydra import sweep_by_hydra

        return sweep_by_hydra(overrides)
    from rlcont.sweep.runner import Stop, run_jobs

    with Stop() as stop:  # From here on, so that no folder is left half made.
        sys.exit(run_jobs(*make_folders(plans), at_once, stop))


def _plans(jobs: list[list[str]], overrides: list[str]) -> list[Plan]:
    """The plan of each job of a sweep; a mistake that not every job has is told with the job's own words."""
    from rlcont.config.compose import make_plan

    plans: list[Plan] = []
    mistakes: list[tuple[list[str], str]] = []
    for job in jobs:
        try:
            plans.append(make_plan(job))
        except UserError as error:
            mistakes.append((job, str(error)))
    if mistakes:
        job, first = mistakes[0]
        own = " ".join(word for word in job if word not in overrides and not first.startswith(word))
        of_each = not plans and {message for _, message in mistakes} == {first}
        raise UserError(f"{own}: {first}" if own and not of_each else first)
    return plans


def _check_device(devices: set[str]) -> None:
    """Refuses cuda where there is none, before anything is created."""
    if "cuda" in devices:
        from rlcont.training.build import resolve_device

        resolve_device("cuda")


def resume(folder: Path, *, overrides: list[str]) -> None:
    """Resumes a run from its newest whole checkpoint, in the same folder and the same curves. The numbers are those of
    an uninterrupted run. Of a sweep, missing and failed jobs start again, interrupted ones resume, and finished
    ones stay. Of a search, interrupted trials resume.

    total_steps=N also extends a finished run. What is scheduled over total_steps (decays without steps of their own,
    priority_beta) then follows the new total from the checkpoint on, so the numbers differ from those of a run that
    began with it. device, compile and precision change how a run is computed, so its numbers may differ in their last
    digit. A run with actors=ray resumes with new episodes, so its numbers differ from those of an uninterrupted run.
    """
    if (folder / "search.json").exists():
        require("search", "search", "optuna")
        from rlcont.search.plan import plan_again

        return _run_search(plan_again(folder, overrides), folder)
    if (folder / "sweep.json").exists():
        return _resume_sweep(folder, overrides)
    return resume_one(folder, overrides)


def resume_one(folder: Path, overrides: list[str]) -> None:
    """Resumes a run, unless it is finished."""
    from rlcont.runs.resume import plan_resume

    plan = plan_resume(folder, overrides)
    if plan is None:
        return
    from rlcont.core.resources import prepare_threads
    from rlcont.training.preflight import check_env, check_packages

    check_packages(plan.config)
    check_env(plan.config.env, folder)
    prepare_threads()
    from rlcont.training.run import resume

    resume(plan)


def _resume_sweep(folder: Path, overrides: list[str]) -> None:
    for override in overrides:
        if not override.startswith("sweep.jobs="):
            raise UserError(f"{override}: fixed for the whole sweep; resume can change sweep.jobs, or each run alone")
    from rlcont.config.compose import make_plan
    from rlcont.sweep.again import make_ready, read_sweep
    from rlcont.sweep.runner import Stop, run_jobs
    from rlcont.sweep.shares import jobs_at_once
    from rlcont.training.preflight import check_runs

    sweep = read_sweep(folder)
    at_once = make_plan(overrides).sweep.jobs if overrides else sweep.at_once
    if not sweep.unfinished:
        return print(f"{folder}: finished, all {len(sweep.folders)} jobs")
    number = jobs_at_once(at_once, len(sweep.unfinished))
    check_runs([job.config for job in sweep.unfinished.values()], number)
    with Stop() as stop:  # From here on, so that no folder is left half made.
        sys.exit(run_jobs(folder, make_ready(sweep), number, stop))


def search(*, overrides: list[str], flags: set[str]) -> None:
    """Searches for good settings of one algorithm on one environment. Optuna proposes them. Each trial is one run per
    seed; its value is the mean of their last evaluations. Trials that lag behind are pruned. The best settings are
    written as a file for tuned=PATH.

    SPACE is interval(0.9,0.999), tag(log,interval(1e-5,1e-2)), int(interval(1,5)), or a list such as 128,256. The
    runs of a trial, one for each value of seed, run side by side. sweep.jobs is the number of runs at once: by
    default one per core, and never fewer than the seeds of a trial.

    rlcont resume SEARCH_DIR [search.trials=N] resumes an interrupted search.
    """
    for flag in flags:
        raise UserError(f"{flag}: does not count in a search")
    require("search", "search", "optuna")
    from rlcont.search.plan import plan_search

    _run_search(plan_search(overrides), None)


def _run_search(plan: SearchPlan, folder: Path | None) -> None:
    from rlcont.search.plan import make_search_folder, runs_at_once
    from rlcont.training.preflight import check_runs

    at_once = runs_at_once(plan)
    check_runs([extreme.config for extreme in plan.extremes], at_once)
    _check_device({plan.config.device})
    from rlcont.search.runner import run_search
    from rlcont.sweep.runner import Stop

    with Stop() as stop:
        sys.exit(run_search(plan, folder or make_search_folder(plan), at_once, stop))


def evaluate(
    folder: Path,
    *,
    policy: str,
    episodes: int | None,
    seed: int | None,
    video: bool,
    render: bool,
    to: Path | None,
    csv: Path | None,
) -> None:
    """Plays deterministic episodes with a policy of a run; prints mean and standard deviation of the return.
    zoo:ALGO/ENV is a run that comes with rlcont.
    """
    from rlcont.core.resources import has_display, prepare_drawing

    if video and render:
        raise UserError("video=true render=true: one of them; a window or files")
    if to is not None and not video:
        raise UserError(f"to={to}: counts only with video=true")
    if csv is not None and not csv.parent.is_dir():
        raise UserError(f"csv={csv}: no folder {csv.parent}")
    if csv is not None and csv.is_dir():
        raise UserError(f"csv={csv}: is a folder; name a file in it")
    if render and not has_display():
        raise UserError("render=true: there is no display here (DISPLAY is not set); video=true writes a file")
    if video:
        require("video=true", "video", "imageio_ffmpeg")
        prepare_drawing()
    _prepare_to_play(folder, policy)
    from rlcont.report.play import evaluate_run

    # Drawing an episode takes far longer than playing it.
    episodes = episodes or (1 if video or render else 10)
    print(evaluate_run(folder, policy, episodes, seed, video=video, render=render, to=to, csv=csv), flush=True)


def _prepare_to_play(folder: Path, policy: str) -> None:
    """Checks that a run kept a policy and that its environment can be made here; prepares torch's threads."""
    from rlcont.runs.folder import load_config
    from rlcont.runs.policies import policy_path

    config = load_config(folder)
    policy_path(folder, policy)
    from rlcont.core.resources import prepare_threads
    from rlcont.training.preflight import check_env

    check_env(config.env, folder)
    prepare_threads()


def list_runs(folder: Path = Path("outputs"), *, sort: str, where: list[tuple[str, str]] | None) -> None:
    """Lists the runs below DIR; without it, below outputs. The return is that of the last evaluation, the step the last
    one trained. The order ascends: by default the newest run comes last, with sort=return the best.
    """
    from rlcont.runs.listing import list_runs

    list_runs(folder, sort, where or [])


def compare(*folders: Path, to: Path | None, threshold: float | None) -> None:
    """Groups the runs at or below the folders by what differs apart from their seeds, and prints for each group mean,
    95 % bootstrap interval, interquartile mean and median of the last evaluations, the best ones, the mean over
    training, the steps to a threshold, and the time. Only finished runs count; the others are named. DIR is a run,
    a sweep, or any folder above some.
    """
    if to is not None and to.exists() and not to.is_dir():
        raise UserError(f"to={to}: is a file; name a folder")
    require("compare", "compare", "matplotlib")
    from rlcont.report.compare import compare
    from rlcont.runs.files import folder_time

    compare(list(folders), to or Path("comparisons") / folder_time(), threshold)


def export(folder: Path, *, policy: str, to: Path | None) -> None:
    """Writes a policy of a run as policy.onnx and policy.pt2 (torch.export), normaliser and scaling of actions
    included: it maps the environment's flat observations to actions within its bounds. Each file is checked against
    the agent on 1000 recorded observations; where one differs, nothing is written.
    """
    require("export", "export", "onnx", "onnxruntime", "onnxscript")
    _prepare_to_play(folder, policy)
    from rlcont.report.export import export_run
    from rlcont.runs.find import products_folder

    print(export_run(folder, policy, to or products_folder(folder) / "export"))
