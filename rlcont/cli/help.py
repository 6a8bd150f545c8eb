"""What `rlcont --help` says: put together from the files in configs/ and the sources of the dataclasses."""

from __future__ import annotations

import textwrap

from rlcont.config.fields import (
    KINDS,
    Field,
    algorithm_fields,
    general_fields,
    option_fields,
    search_fields,
    sweep_fields,
)
from rlcont.config.names import existing_file, file_values, main_values, options, summary
from rlcont.core.spelling import flat_keys, spelled

WIDTH = 100

INTRODUCTION = """\
rlcont: a laboratory for reinforcement learning with continuous actions

Examples
  rlcont algo=ddpg env=HalfCheetah-v4            train one agent
  rlcont env=Pendulum-v1 seed=1 noise=ou         another environment, seed and noise
  rlcont -m env=Hopper-v4,Walker2d-v4 seed=0,1   a sweep: every combination, side by side
  rlcont experiment=article/ddpg                 a named experiment
  rlcont resume outputs/HalfCheetah-v4/ddpg/RUN  go on with a run that was interrupted
  rlcont eval outputs/HalfCheetah-v4/ddpg/RUN    play the policy that a run kept

Commands
  train   train as the key=value words say; the command that is meant when none is typed
  resume  go on with a run from its last checkpoint, or with a sweep; rlcont resume --help says more
  search  look for good settings; rlcont search --help says more
  eval    play a policy that a run kept; rlcont eval --help says more
  runs    rlcont runs [DIR]: list the runs below DIR
  compare put groups of runs side by side; rlcont compare --help says more
  export  write a policy for use without rlcont; rlcont export --help says more

Options
  -m, --multirun        a sweep: some keys list several values, as in seed=0,1; its jobs run side
                        by side, as many as the cores carry
  --cfg                 print the resolved configuration and stop
  --completion SHELL    print the completion script for bash, zsh or fish
  --version             print the version
  --help                print this; with algo=, noise= or actors=NAME also the keys of that choice
"""
SEARCH = """\
rlcont search KEY=VALUE ... KEY=SPACE ... [seed=0,1,2]

Looks for good settings of one algorithm on one environment. Optuna proposes them, each trial is a
run per seed, and a trial's value is the mean of the last evaluations. Trials that lag behind are cut
short. The best settings are written as a file for configs/tuned.

  SPACE             interval(0.9,0.999), tag(log,interval(1e-5,1e-2)), int(interval(1,5)), or a list:
                    128,256
  seed              seeds that every trial is averaged over; they run side by side
  sweep.jobs        runs at once; default one per core, and never less than the seeds of a trial

A search that was interrupted goes on with rlcont resume SEARCH_DIR [search.trials=N].
"""
RESUME = """\
rlcont resume RUN_DIR [KEY=VALUE ...]
rlcont resume SWEEP_DIR [sweep.jobs=N]
rlcont resume SEARCH_DIR [search.trials=N] [sweep.jobs=N]

Goes on with a run from its newest checkpoint that is whole, in the same folder and the same curves,
to the numbers it would have had without the interruption. Of a sweep, runs the jobs that are missing
or failed, goes on with those that were cut off, and leaves the finished ones as they are.

  RUN_DIR           folder of the run, such as outputs/HalfCheetah-v4/ddpg/20260101-120000-s0
  SWEEP_DIR         folder of the sweep, such as outputs/sweeps/20260101-120000
  total_steps       train longer (also a run that is finished)
  eval.every, eval.save_policies, log.every, checkpoint.every, checkpoint.keep
                    as for rlcont train
  device, compile, precision, workers
                    compute in another way than until now; may change numbers in their last digit
  actors.address    where the actors of an actors=ray run are to live; such a run goes on with new
                    episodes, so its numbers are others than without the interruption
"""
EVAL = """\
rlcont eval RUN_DIR [episodes=10] [checkpoint=last] [seed=N] [video=true] [render=true]

Plays deterministic episodes with a policy that a run kept, and prints mean and standard deviation
of the return.

  RUN_DIR     folder of the run, such as outputs/HalfCheetah-v4/ddpg/20260101-120000-s0
  episodes    how many to play; a whole number at least 1; default 10, or 1 where they are drawn
  checkpoint  which policy: last, best, or a step whose policy the run kept; default last
  seed        whole number at least 0; without it, the episodes of the run's own evaluations
  video       true writes each episode to RUN_DIR/videos as mp4; needs no display
  render      true shows each episode in a window
"""
RUNS = """\
rlcont runs [DIR]

Lists the runs below DIR; without it, below outputs.
"""
COMPARE = """\
rlcont compare DIR ... [to=DIR] [threshold=RETURN]

Groups the runs at or below the folders by what differs apart from their seeds, and prints for each
group mean, 95 % bootstrap interval, interquartile mean and median of the last evaluations, the best
ones, the mean over training, the steps to a threshold, and the time.

  DIR         a run, a sweep, or any folder above some
  to          where tables, pictures and a TensorBoard folder with one curve and band per group go;
              default outputs/comparisons/TIME
  threshold   return to count the steps to; default nine tenths of the way from the untrained return
              to the best group's
"""
EXPORT = """\
rlcont export RUN_DIR [checkpoint=last] [to=DIR]

Writes a policy that a run kept as policy.onnx and policy.pt2 (torch.export), with the normaliser and
the scaling of actions in it: observations as the environment gives them, flat, to actions that it
takes. Neither is kept unless it acts as the agent does on 1000 recorded observations.

  RUN_DIR     folder of the run, such as outputs/HalfCheetah-v4/ddpg/20260101-120000-s0
  checkpoint  which policy: last, best, or a step whose policy the run kept; default last
  to          default RUN_DIR/export
"""
GROUP_MEANINGS = {
    "algo": "the algorithm and its hyper-parameters",
    "env": "any registered Gymnasium id with Box actions, module:id included",
    "noise": "exploration noise",
    "actors": "who acts",
    "tuned": "settings for the algorithm and environment at hand, found by themselves",
    "experiment": "a named set of choices",
}


def help_text(words: list[str]) -> str:
    """The help for a command line of which `words` are left without --help.

    Raises:
        UserError: algo=, noise= or actors= names no option.
    """
    match words:
        case ["resume", *_]:
            return RESUME
        case ["search", *_]:
            values = main_values()
            return f"{SEARCH}\n{_section('Keys of a search', search_fields(), values)}"
        case ["eval", *_]:
            return EVAL
        case ["runs", *_]:
            return RUNS
        case ["compare", *_]:
            return COMPARE
        case ["export", *_]:
            return EXPORT
    with_keys = tuple(f"{group}=" for group in ("algo", *KINDS))
    chosen = dict(word.split("=", 1) for word in words if word.startswith(with_keys))
    for group, option in chosen.items():
        existing_file(group, option)
    values = main_values()
    parts = [INTRODUCTION, _groups(), _section("Keys of every run", general_fields(), values)]
    parts.append(_section("Keys of a sweep", sweep_fields(), values))
    if "algo" in chosen:
        values = {"algo": file_values("algo", chosen["algo"])}
        parts.append(_section(f"Keys of algo={chosen['algo']}", algorithm_fields(chosen["algo"]), values))
    for group in KINDS:
        if group in chosen:
            values = {group: file_values(group, chosen[group])}
            fields = [field for field in option_fields(group, chosen[group]) if field.key != f"{group}.kind"]
            parts.append(_section(f"Keys of {group}={chosen[group]}", fields, values))
    parts.append("rlcont --help algo=ddpg noise=ou adds the keys of these two; --cfg prints every value.\n")
    return "\n".join(parts)


def _groups() -> str:
    """Each group with its options, one a line where their files say what they are."""
    lines = ["Groups: each chooses a file from configs/"]
    for group, meaning in GROUP_MEANINGS.items():
        listed = options(group)
        described = [(option, summary(group, option)) for option in listed]
        lines += ["", f"  {group + '=':<16}{meaning}"]
        if group in ("algo", "experiment", *KINDS):
            lines += [_aligned(f"    {option:<14}", summary, 18) for option, summary in described]
        elif group == "env":
            lines.append(textwrap.fill(", ".join(listed), WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 4))
        else:
            lines.append(_aligned("    none", summary(group, "none"), 18))
            pairs = [option for option in listed if option != "none"]
            lines.append(_aligned("    ALGO/ENV", f"{len(pairs)} files, such as {pairs[0]}", 18))
    return "\n".join(lines) + "\n"


def _section(title: str, fields: list[Field], values: dict) -> str:
    """Fields with what they may be, their value in the YAML file, and what they mean."""
    defaults = flat_keys(values)
    lines = [title]
    for field in fields:
        default = f"; default {spelled(defaults[field.key])}" if field.key in defaults else ""
        lines.append(f"  {field.key:<28}{field.allowed}{default}")
        lines.append(_aligned(" " * 6, field.meaning, 6))
    return "\n".join(lines) + "\n"


def _aligned(start: str, text: str, indent: int) -> str:
    return (
        textwrap.fill(text, WIDTH, initial_indent=start.ljust(indent), subsequent_indent=" " * indent) or start.rstrip()
    )
