"""The commands. Nothing here loads torch or gymnasium before the command line is known to be right."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rlcont.core import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from rlcont.schema import EnvConfig

HELP = """\
rlcont: a laboratory for reinforcement learning with continuous actions

  rlcont algo=ddpg env=HalfCheetah-v4            train one agent
  rlcont env=Pendulum-v1 seed=1 noise=ou         another environment, seed and noise
  rlcont -m env=Hopper-v4,Walker2d-v4 seed=0,1   a sweep: every combination, one job per core at once
  rlcont experiment=article/ddpg                 a named experiment
  rlcont eval outputs/HalfCheetah-v4/ddpg/RUN    play the policy that a run kept
  rlcont runs                                    which runs there are, and how they are doing

Commands
  train        the default: train as the key=value overrides say
  eval         RUN_DIR [episodes=10] [policy=last|best|step-N] [seed=N]: mean ± sd return
  runs         [DIR]: every run below DIR (outputs): what differs, step, state, last return and (evaluation)

Options of train
  -m, --multirun   some overrides list several values: run every combination, sweep.jobs=auto|N at once
  --cfg            print the resolved configuration and stop

Groups
  algo         {algo}
  env          any registered Gymnasium id with Box actions, module:id included
  noise        {noise}
  tuned        settings for the algorithm and environment at hand, found by themselves; none turns them off
  experiment   {experiment}

Every key is printed by --cfg, as in: rlcont --cfg algo=ddpg env=Hopper-v4
"""
COMMANDS = ["train", "eval", "runs"]
TRAIN_FLAGS = {"-m", "--multirun", "--cfg"}


def main() -> None:
    """The console script: exit code 0, 2 for a user's mistake, 130 for Ctrl-C."""
    try:
        _dispatch(sys.argv[1:])
    except UserError as error:
        print(f"rlcont: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("rlcont: interrupted; the policy of the last evaluation is in the run's folder", file=sys.stderr)
        sys.exit(130)


def _dispatch(arguments: list[str]) -> None:
    if "--help" in arguments or "-h" in arguments:
        return _help()
    if "--version" in arguments:
        from rlcont import __version__

        return print(f"rlcont {__version__}")
    command = "train"
    if arguments and not arguments[0].startswith(("-", "~")) and "=" not in arguments[0]:
        command, *arguments = arguments
    if command not in COMMANDS:
        from rlcont.config import nearest

        raise UserError(f"{command}: no such command; allowed: {', '.join(COMMANDS)}{nearest(command, COMMANDS)}")
    return {"train": _train, "eval": _evaluate, "runs": _list_runs}[command](arguments)


def _help() -> None:
    from rlcont.compose import options

    groups = {group: ", ".join(options(group)) for group in ("algo", "noise", "experiment")}
    print(HELP.format(**groups), end="")


def _train(arguments: list[str]) -> None:
    flags = {argument for argument in arguments if argument.startswith("-")}
    overrides = [argument for argument in arguments if argument not in flags]
    for flag in sorted(flags - TRAIN_FLAGS):
        raise UserError(f"{flag}: no such option; allowed: -m, --multirun, --cfg, --help, --version")
    for override in overrides:
        if "=" not in override and not override.startswith("~"):
            raise UserError(f"{override}: must be key=value")
    if flags & {"-m", "--multirun"}:
        if "--cfg" in flags:
            raise UserError("--cfg: shows one job; drop -m and the sweep's further values")
        return _sweep(overrides)
    for override in overrides:
        if override.startswith("sweep."):
            raise UserError(f"{override}: counts only in a sweep; add -m")
    from rlcont.compose import compose_job
    from rlcont.config import validate

    composed = compose_job(overrides)
    config = validate(composed.container)
    _check_env(config.env)
    if "--cfg" in flags:
        from rlcont.runs import config_text

        print("".join(f"# {group}: {choice}\n" for group, choice in composed.choices.items()), end="")
        return print(config_text(config), end="")
    from rlcont.build import run

    run(config, composed.choices)
    return None


def _check_env(config: EnvConfig) -> None:
    """Makes the environment and opens an episode, to refuse what does not fit before anything is created."""
    from rlcont.envs import BoxEnv

    env = BoxEnv(config)
    env.reset(seed=0)
    env.close()


def _sweep(overrides: list[str]) -> None:
    """Checks every job, then runs them, or hands them to the launcher or sweeper of Hydra's that was asked for."""
    by_hydra = any(override.startswith(("hydra/launcher=", "hydra/sweeper=")) for override in overrides)
    for override in overrides:
        if override.lstrip("+~").startswith("hydra") and not by_hydra:
            raise UserError(f"{override}: counts only with a launcher of Hydra's, as in hydra/launcher=basic")
        if override.startswith("sweep.") and by_hydra:
            raise UserError(f"{override}: does not count with a launcher or sweeper of Hydra's")
    from rlcont.compose import compose_job, expand_sweep
    from rlcont.config import validate, validate_sweep
    from rlcont.sweep.plan import Plan, check_agreement

    plans = []
    for job in expand_sweep(overrides):
        composed = compose_job(job)
        plans.append(Plan(job, validate(composed.container), composed.choices, validate_sweep(composed.sweep)))
    if not by_hydra:
        check_agreement(plans)
    checked: list[EnvConfig] = []
    for plan in plans:
        if plan.config.env not in checked:
            _check_env(plan.config.env)
            checked.append(plan.config.env)
    if by_hydra:
        return _sweep_by_hydra(overrides)
    from rlcont.sweep.runner import run_sweep

    sys.exit(run_sweep(plans))


def _sweep_by_hydra(overrides: list[str]) -> None:
    import hydra

    from rlcont.compose import CONFIG_DIR, free_kwargs

    sys.argv[1:] = ["--multirun", *(free_kwargs(override) for override in overrides)]
    hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")(_job)()


def _job(config: DictConfig) -> None:
    """One job of a sweep, called by a Hydra launcher."""
    from rlcont.build import run
    from rlcont.compose import composed_by_hydra
    from rlcont.config import validate

    composed = composed_by_hydra(config)
    run(validate(composed.container), composed.choices)


def _evaluate(arguments: list[str]) -> None:
    values = {"episodes": "10", "policy": "last", "seed": ""}
    for argument in arguments:
        if argument.startswith("-"):
            raise UserError(f"{argument}: no such option; write episodes=10, policy=last, seed=0")
    folders = [argument for argument in arguments if "=" not in argument]
    if len(folders) != 1:
        raise UserError("eval: name one run folder, as in: rlcont eval outputs/HalfCheetah-v4/ddpg/RUN")
    for argument in arguments:
        key, is_option, value = argument.partition("=")
        if is_option and key not in values:
            from rlcont.config import nearest

            raise UserError(f"{argument}: no such key; allowed: episodes, policy, seed{nearest(key, [*values])}")
        if is_option:
            values[key] = value
    episodes = _whole_number("episodes", values["episodes"], 1)
    seed = _whole_number("seed", values["seed"], 0) if values["seed"] else None

    from rlcont.runs import load_config, policy_path

    folder = Path(folders[0])
    load_config(folder)
    policy_path(folder, values["policy"])
    from rlcont.build import evaluate_run

    print(evaluate_run(folder, values["policy"], episodes, seed))


def _list_runs(arguments: list[str]) -> None:
    for argument in arguments:
        if argument.startswith("-") or "=" in argument:
            raise UserError(f"{argument}: no such option; runs takes one folder, as in: rlcont runs outputs")
    if len(arguments) > 1:
        raise UserError(f"{arguments[1]}: runs takes one folder, as in: rlcont runs outputs")
    from rlcont.listing import list_runs

    list_runs(Path(*arguments or ["outputs"]))


def _whole_number(key: str, value: str, minimum: int) -> int:
    if not value.isdecimal() or int(value) < minimum:
        raise UserError(f"{key}={value}: must be a whole number of at least {minimum}")
    return int(value)
