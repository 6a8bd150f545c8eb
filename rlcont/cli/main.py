"""The commands. Nothing here loads torch or gymnasium before the command line is known to be right."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rlcont.cli.words import (
    check_compare_words,
    check_eval_words,
    check_export_words,
    check_resume_words,
    check_train_words,
)
from rlcont.core.errors import Stopped, UserError
from rlcont.core.extras import require

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from rlcont.search.plan import SearchPlan


def main() -> None:
    """The console script: exit code 0, 2 for a user's mistake, 130 for Ctrl-C, 143 for SIGTERM."""
    # NumPy's products are those of acting, too small to share out; idle threads of its own would spin beside torch's.
    # It reads this once, while it is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        _dispatch(sys.argv[1:])
    except UserError as error:
        print(f"rlcont: {error}", file=sys.stderr)
        sys.exit(2)
    except Stopped as stopped:
        print(f"rlcont: {stopped}", file=sys.stderr)
        sys.exit(stopped.exit_code)
    except KeyboardInterrupt:
        print("rlcont: interrupted", file=sys.stderr)
        sys.exit(130)


def _dispatch(arguments: list[str]) -> None:
    if "--help" in arguments or "-h" in arguments:
        from rlcont.cli.help import help_text

        return print(help_text([argument for argument in arguments if argument not in ("--help", "-h")]), end="")
    if "--version" in arguments:
        from rlcont import __version__

        return print(f"rlcont {__version__}")
    if arguments and arguments[0] in ("--completion", "--candidates"):
        from rlcont.cli.completion import candidates, script

        lines = [script(arguments[1:])] if arguments[0] == "--completion" else candidates(arguments[1:])
        return print("".join(f"{line}\n" for line in lines), end="")
    if arguments and arguments[0] in _COMMANDS:
        command, *arguments = arguments
        return _COMMANDS[command](arguments)
    return _train(arguments)


def _train(arguments: list[str]) -> None:
    flags, overrides = check_train_words(arguments)
    if flags & {"-m", "--multirun"}:
        if "--cfg" in flags:
            raise UserError("--cfg: shows one job; drop -m and the sweep's further values")
        return _sweep(overrides)
    for override in overrides:
        if override.startswith("sweep."):
            raise UserError(f"{override}: counts only in a sweep; add -m")
        _refuse_search_key(override)
    from rlcont.config.compose import compose_job
    from rlcont.config.validate import validate

    composed = compose_job(overrides)
    config = validate(composed.container, composed.origins)
    from rlcont.training.preflight import check_runs

    check_runs([config])
    if "--cfg" in flags:
        from rlcont.runs.folder import config_text

        print("".join(f"# {group}: {choice}\n" for group, choice in composed.choices.items()), end="")
        return print(config_text(config), end="")
    from rlcont.core.resources import prepare_threads

    prepare_threads()
    from rlcont.training.run import run

    run(config, composed.choices)
    return None


def _refuse_search_key(override: str) -> None:
    if override.startswith("search."):
        raise UserError(f"{override}: counts only in a search, as in: rlcont search {override} ...")


def _resume(arguments: list[str]) -> None:
    folder, overrides = check_resume_words(arguments)
    if (Path(folder) / "search.json").exists():
        require("search", "search", "optuna")
        from rlcont.search.plan import plan_again

        return _run_search(plan_again(Path(folder), overrides), Path(folder))
    if (Path(folder) / "sweep.json").exists():
        return _resume_sweep(Path(folder), overrides)
    from rlcont.runs.resume import plan_resume

    plan = plan_resume(Path(folder), overrides)
    if plan is None:
        return None
    from rlcont.training.preflight import check_actors, check_env

    check_actors(plan.config)
    check_env(plan.config.env)
    from rlcont.core.resources import prepare_threads

    prepare_threads()
    from rlcont.training.run import resume

    resume(plan)
    return None


def _resume_sweep(folder: Path, overrides: list[str]) -> None:
    """Runs what is missing of a sweep, goes on with what was cut off, and leaves what is finished as it is."""
    for override in overrides:
        if not override.startswith("sweep.jobs="):
            raise UserError(
                f"{override}: a sweep goes on as it was; resume can change sweep.jobs, or each run by itself"
            )
    from rlcont.config.compose import compose_job
    from rlcont.config.validate import validate_sweep
    from rlcont.sweep.again import jobs_of
    from rlcont.sweep.runner import run_jobs
    from rlcont.sweep.shares import jobs_at_once
    from rlcont.training.preflight import check_runs

    at_once, jobs, unfinished = jobs_of(folder)
    if overrides:
        at_once = validate_sweep(compose_job(overrides).sweep).jobs
    if not unfinished:
        return print(f"{folder}: finished, all {len(jobs)} jobs")
    number = jobs_at_once(at_once, len(unfinished))
    check_runs(unfinished, number)
    sys.exit(run_jobs(folder, jobs, number))


def _sweep(overrides: list[str]) -> None:
    """Checks every job, then runs them, or hands them to the launcher or sweeper of Hydra's that was asked for."""
    for launcher, (extra, package) in _LAUNCHERS.items():
        if launcher in overrides:
            require(launcher, extra, package)
    by_hydra = any(override.startswith(("hydra/launcher=", "hydra/sweeper=")) for override in overrides)
    for override in overrides:
        if override.lstrip("+~").startswith("hydra") and not by_hydra:
            raise UserError(f"{override}: counts only with a launcher of Hydra's, as in hydra/launcher=basic")
        if override.startswith("sweep.") and by_hydra:
            raise UserError(f"{override}: does not count with a launcher or sweeper of Hydra's")
        _refuse_search_key(override)
    from rlcont.sweep.plan import check_agreement, make_plans
    from rlcont.sweep.shares import jobs_at_once
    from rlcont.training.preflight import check_runs

    plans = make_plans(overrides)
    if not by_hydra:
        check_agreement(plans)
    at_once = 1 if by_hydra else jobs_at_once(plans[0].sweep.jobs, len(plans))
    check_runs([plan.config for plan in plans], at_once)
    if any(plan.config.device == "cuda" for plan in plans):
        from rlcont.training.build import resolve_device

        resolve_device("cuda")
    if by_hydra:
        return _sweep_by_hydra(overrides)
    from rlcont.sweep.runner import run_sweep

    sys.exit(run_sweep(plans, at_once))


def _sweep_by_hydra(overrides: list[str]) -> None:
    import hydra

    from rlcont.config.names import CONFIG_DIR
    from rlcont.config.overrides import free_kwargs

    sys.argv[1:] = ["--multirun", *(free_kwargs(override) for override in overrides)]
    hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")(_job)()


def _job(config: DictConfig) -> None:
    """One job of a sweep, called by a Hydra launcher."""
    from rlcont.core.resources import prepare_threads

    prepare_threads()
    from rlcont.config.compose import composed_by_hydra
    from rlcont.config.validate import validate
    from rlcont.training.run import run

    composed = composed_by_hydra(config)
    run(validate(composed.container), composed.choices)


def _search(arguments: list[str]) -> None:
    """Checks the extremes of what is searched over, then lets Optuna propose settings."""
    flags, overrides = check_train_words(arguments)
    for flag in flags:
        raise UserError(f"{flag}: does not count in a search")
    require("search", "search", "optuna")
    from rlcont.search.plan import plan_search

    _run_search(plan_search(overrides), None)


def _run_search(plan: SearchPlan, folder: Path | None) -> None:
    from rlcont.search.plan import make_search_folder, runs_at_once
    from rlcont.search.runner import run_search
    from rlcont.training.preflight import check_runs

    at_once = runs_at_once(plan)
    check_runs([extreme.config for extreme in plan.extremes], at_once)
    if plan.config.device == "cuda":
        from rlcont.training.build import resolve_device

        resolve_device("cuda")
    sys.exit(run_search(plan, folder or make_search_folder(plan), at_once))


def _evaluate(arguments: list[str]) -> None:
    typed = check_eval_words(arguments)
    from rlcont.runs.folder import load_config
    from rlcont.runs.policies import policy_path

    folder = Path(typed.folder)
    config = load_config(folder)
    policy_path(folder, typed.policy)
    from rlcont.core.resources import has_display, prepare_drawing, prepare_threads

    if typed.render and not has_display():
        raise UserError("render=true: there is no display here (DISPLAY is not set); video=true writes a file")
    if typed.video:
        require("video=true", "video", "imageio_ffmpeg")
        prepare_drawing()
    from rlcont.training.preflight import check_env

    check_env(config.env)
    prepare_threads()
    from rlcont.report.play import evaluate_run

    print(
        evaluate_run(folder, typed.policy, typed.episodes, typed.seed, video=typed.video, render=typed.render),
        flush=True,
    )


def _list_runs(arguments: list[str]) -> None:
    for argument in arguments:
        if argument.startswith("-") or "=" in argument:
            raise UserError(f"{argument}: no such option; runs takes one folder, as in: rlcont runs outputs")
    if len(arguments) > 1:
        raise UserError(f"{arguments[1]}: runs takes one folder, as in: rlcont runs outputs")
    from rlcont.runs.listing import list_runs

    list_runs(Path(*arguments or ["outputs"]))


def _compare(arguments: list[str]) -> None:
    typed = check_compare_words(arguments)
    require("compare", "compare", "matplotlib")
    from rlcont.report.compare import compare
    from rlcont.runs.files import folder_time

    to = Path(typed.to) if typed.to else Path("outputs") / "comparisons" / folder_time()
    compare([Path(place) for place in typed.places], to, typed.threshold)


def _export(arguments: list[str]) -> None:
    folder, policy, to = check_export_words(arguments)
    from rlcont.runs.folder import load_config
    from rlcont.runs.policies import policy_path

    config = load_config(Path(folder))
    policy_path(Path(folder), policy)
    require("export", "export", "onnx", "onnxruntime", "onnxscript")
    from rlcont.training.preflight import check_env

    check_env(config.env)
    from rlcont.core.resources import prepare_threads

    prepare_threads()
    from rlcont.report.export import export_run

    print(export_run(Path(folder), policy, Path(to) if to else Path(folder) / "export"))


_LAUNCHERS = {
    "hydra/launcher=slurm": ("slurm", "submitit"),
    "hydra/launcher=ray_cluster": ("ray-launcher", "ray"),
}
"""The extra and the package that the launchers in configs/ need."""
_COMMANDS = {
    "train": _train,
    "resume": _resume,
    "search": _search,
    "eval": _evaluate,
    "runs": _list_runs,
    "compare": _compare,
    "export": _export,
}
