"""The commands. Nothing here imports torch before a run starts."""

from __future__ import annotations

import sys
from pathlib import Path

from rlcont.core import UserError

HELP = """\
rlcont: reinforcement learning with continuous actions

  rlcont algo=ddpg env=HalfCheetah-v4            train one agent
  rlcont env=Pendulum-v1 seed=1 noise=ou         choose an environment, a seed, a noise
  rlcont -m env=Hopper-v4,Walker2d-v4 seed=0,1   sweep: every combination, one after the other
  rlcont experiment=article/ddpg                 a named experiment
  rlcont eval outputs/.../RUN episodes=100       play a trained policy

Commands
  train (the default)   train as the key=value overrides say
  eval RUN_DIR          mean ± sd return of a kept policy: episodes=10 policy=last|best|step-N seed=N

Options of train
  -m, --multirun        the overrides name several values: run every combination
  --cfg                 print the resolved configuration and stop
  --help, --version

Groups (group=option; the configs/ folder holds them)
"""

GROUP_HELP = {
    "algo": "the algorithm",
    "env": "any registered Gymnasium id with Box actions, also module:id; tuned where a file exists",
    "noise": "exploration noise",
    "tuned": "hyper-parameters for an (algorithm, environment); picked by itself, none turns it off",
    "experiment": "a named set of overrides",
}


def main() -> None:
    """The console script."""
    try:
        sys.exit(_dispatch(sys.argv[1:]))
    except UserError as error:
        sys.exit(_fail(str(error)))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _fail(message: str) -> int:
    print(f"rlcont: {message}", file=sys.stderr)
    return 2


def _dispatch(arguments: list[str]) -> int:
    if "--help" in arguments or "-h" in arguments:
        return _help()
    if "--version" in arguments:
        from rlcont import __version__

        print(f"rlcont {__version__}")
        return 0
    command = "train"
    if arguments and arguments[0][:1].isalpha() and "=" not in arguments[0]:
        command, *arguments = arguments
    match command:
        case "train":
            return _train(arguments)
        case "eval":
            return _evaluate(arguments)
        case _:
            from rlcont.config import nearest

            commands = ["train", "eval"]
            raise UserError(f"{command}: allowed: {', '.join(commands)}{nearest(command, commands)}")


def _train(arguments: list[str]) -> int:
    flags = {argument for argument in arguments if argument.startswith("-")}
    overrides = [argument for argument in arguments if argument not in flags]
    for flag in flags - {"-m", "--multirun", "--cfg"}:
        raise UserError(f"{flag}: no such option; allowed: -m, --multirun, --cfg, --help, --version")
    if flags & {"-m", "--multirun"}:
        return _sweep(overrides)
    from rlcont.compose import compose_job
    from rlcont.config import validate

    composed = compose_job(overrides)
    config = validate(composed.container)
    if "--cfg" in flags:
        from rlcont.runs import config_text

        print(config_text(config), end="")
        return 0
    _run(config, composed.choices)
    return 0


def _run(config, choices) -> None:
    from rlcont.build import run

    run(config, choices)


def _sweep(overrides: list[str]) -> int:
    from rlcont.compose import CONFIG_DIR, compose_job, expand_sweep, free_kwargs
    from rlcont.config import validate

    jobs = expand_sweep([free_kwargs(override) for override in overrides])
    for job in jobs:
        validate(compose_job(job).container)
    return 0


def _evaluate(arguments: list[str]) -> int:
    folders = [argument for argument in arguments if "=" not in argument]
    options = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if len(folders) != 1:
        raise UserError("eval: name one run folder, as in rlcont eval outputs/HalfCheetah-v4/ddpg/RUN")
    from rlcont.build import evaluate_run
    from rlcont.log import evaluation_row

    evaluation = evaluate_run(Path(folders[0]), options.get("policy", "last"), int(options.get("episodes", 10)), None)
    row = evaluation_row(evaluation)
    print(f"{row['return_mean']:.1f} ± {row['return_std']:.1f}")
    return 0


def _help() -> int:
    from rlcont.compose import options

    print(HELP + "\n".join(f"  {group:<11} {text}" for group, text in GROUP_HELP.items()))
    return 0
