"""A run's copy at Weights & Biases, with a module in the place of the package that writes down how it is called."""

import json

import pytest
from script import rlcont
from tiny import tiny

FAKE = """\
import json, os

def note(what, **values):
    with open(os.environ["NOTES"], "a") as file:
        file.write(json.dumps([what, values]) + "\\n")

def init(**arguments):
    if arguments["project"] == "forbidden":
        raise RuntimeError("no API key\\nof yours")
    note("init", **arguments)
    return Run()

class Run:
    def log(self, values, step):
        note("log", values=values, step=step)
    def finish(self):
        note("finish")
"""


@pytest.mark.slow
def test_what_tensorboard_gets_is_copied_in_order_and_a_resumed_run_goes_on_with_its_own(tmp_path):
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "wandb.py").write_text(FAKE)
    env = {"PYTHONPATH": str(tmp_path / "fake"), "NOTES": str(tmp_path / "notes")}
    result = rlcont(tmp_path, "log.wandb=cheetahs", *tiny(), env=env)
    assert result.returncode == 0, result.stderr
    assert rlcont(tmp_path, "resume", "latest", "total_steps=600", env=env).returncode == 0
    notes = [json.loads(line) for line in (tmp_path / "notes").read_text().splitlines()]
    first, second = (values for what, values in notes if what == "init")
    assert first["project"] == "cheetahs"
    assert first["config"]["algo.batch_size"] == 16
    assert first["id"] == second["id"]
    logged = [values for what, values in notes if what == "log"]
    assert [values["step"] for values in logged] == sorted(values["step"] for values in logged)
    assert [v["step"] for v in logged if "eval/return" in v["values"]] == [0, 200, 400, 600]
    assert [v["step"] for v in logged if "train/return" in v["values"]] == [200, 400, 600]
    assert notes[-1][0] == "finish"


def test_what_is_missing_or_refused_is_one_line(tmp_path):
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "wandb.py").write_text(FAKE)
    refused = rlcont(tmp_path, "log.wandb=forbidden", *tiny(), env={"PYTHONPATH": str(tmp_path / "fake")})
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == [
        "rlcont: log.wandb=forbidden: RuntimeError: no API key; WANDB_MODE=offline needs no network"
    ]
