"""What TensorBoard finds in a run's folder."""

import csv
import shutil
import threading

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from rlcont.core.types import Evaluation, Histogram
from rlcont.runs.evaluations import evaluation_row
from rlcont.runs.log import RunLog, _leave_errors_to_the_next_write


@pytest.fixture
def folder(tmp_path):
    log = RunLog(
        tmp_path, {"algo.gamma": 0.99, "algo.actor.hidden": [16, 16], "seed": 3, "algo.doubles": True}, "seed: 3\n"
    )
    log.scalars({"learn/critic_loss": 0.5}, 10)
    log.histograms({"value": Histogram([0.0, 1.0], [1.0, 3.0])}, 20)
    log.evaluation(Evaluation(np.array([1.0, 3.0]), np.array([5, 7])), 20, 1.5)
    log.close()
    return tmp_path


def test_scalars_and_evaluations_stand_at_their_steps(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("learn/critic_loss")] == [(10, 0.5)]
    expected = {"return": 2.0, "return_std": 2**0.5, "return_min": 1.0, "return_max": 3.0, "steps": 6.0}
    for name, value in expected.items():
        (event,) = events.Scalars(f"eval/{name}")
        assert event.step == 20
        assert event.value == pytest.approx(value)


def test_no_tag_comes_before_the_returns_of_evaluations(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    tags = events.Tags()
    assert tags["histograms"] == ["train_distributions/value"]
    assert min(tags["scalars"] + tags["histograms"]) == "eval/return"


def test_the_configuration_is_there_as_text(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    (event,) = events.Tensors("config/text_summary")
    assert b"seed: 3" in event.tensor_proto.string_val[0]


def test_hyper_parameters_live_in_the_runs_own_folder_and_declare_no_experiment(folder):
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []
    assert len(list(folder.glob("events.out.*"))) == 1
    events = EventAccumulator(str(folder))
    events.Reload()
    contents = events.PluginTagToContent("hparams")
    assert set(contents) == {"_hparams_/session_start_info", "_hparams_/session_end_info"}
    start = HParamsPluginData.FromString(contents["_hparams_/session_start_info"]).session_start_info
    assert start.hparams["algo.gamma"].number_value == 0.99
    assert start.hparams["algo.actor.hidden"].string_value == "[16,16]"
    assert start.hparams["algo.doubles"].string_value == "true"
    assert start.hparams["SEED"].string_value == "3"


def test_evaluations_csv_has_a_row_per_evaluation(folder):
    with (folder / "evaluations.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row == {
        "step": "20",
        "return_mean": "2",
        "return_std": "1.41421354",
        "return_min": "1",
        "return_max": "3",
        "steps_mean": "6",
        "seconds": "1.5",
    }


def test_one_episode_has_no_spread():
    assert evaluation_row(Evaluation(np.array([4.0]), np.array([2])))["return_std"] == 0.0


def test_a_folder_that_is_deleted_is_the_error_of_the_next_write_and_no_traceback(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    _leave_errors_to_the_next_write.cache_clear()
    log = RunLog(tmp_path / "run", {"algo_name": "ddpg"}, "")
    log.writer.flush()
    shutil.rmtree(tmp_path / "run")

    def write():
        while True:  # Until the thread that writes has met it.
            log.scalars({"train/return": 1.0}, 1)
            log.writer.flush()

    with pytest.raises(OSError, match="run"):
        write()
    assert told == []
