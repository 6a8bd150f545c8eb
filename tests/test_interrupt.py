import signal
import threading

import pytest
from waiting import wait_until

from rlcont.cli.actions import search, train
from rlcont.core.errors import Stopped
from rlcont.runs.status import read_status
from rlcont.search import runner
from rlcont.search.plan import plan_again
from rlcont.search.study import Study
from rlcont.sweep import plan
from rlcont.sweep.again import read_sweep
from rlcont.sweep.runner import Stop
from rlcont.training import interrupt
from rlcont.training.interrupt import SIGNALS, Interrupt


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_is_remembered_the_second_raised_and_the_third_not_caught(number, code, monkeypatch):
    monkeypatch.setattr(interrupt, "TOGETHER", 0.0)
    before = [signal.getsignal(each) for each in SIGNALS]
    with Interrupt() as context:
        assert context.received is None
        signal.raise_signal(number)
        assert context.received == number
        with pytest.raises(Stopped) as stopped:
            signal.raise_signal(number)
        assert stopped.value.exit_code == code
        assert [signal.getsignal(each) for each in SIGNALS] == [signal.SIG_DFL] * 3
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_a_second_signal_right_after_the_first_belongs_to_it(monkeypatch):
    monkeypatch.setattr(interrupt, "TOGETHER", 3600.0)
    with Interrupt() as run, Stop() as sweep:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            sweep.take(number, None)
            run.take(number, None)
    assert run.received == sweep.received == signal.SIGTERM
    assert not sweep.has_waited
    monkeypatch.setattr(interrupt, "TOGETHER", 0.0)
    sweep.take(signal.SIGTERM, None)
    assert sweep.has_waited


def test_a_signal_that_waits_for_something_long_is_answered(monkeypatch, capfd):
    said = []

    def in_the_middle_of_something_long():
        said.append(capfd.readouterr().err)
        return "".join(said) == "rlcont: it takes a while\n"

    monkeypatch.setattr(interrupt, "PATIENCE", 0.05)
    with Interrupt("it takes a while"):
        signal.raise_signal(signal.SIGINT)
        wait_until(in_the_middle_of_something_long)
    monkeypatch.setattr(interrupt, "PATIENCE", 60.0)
    with Interrupt("it takes a while") as obeyed:
        signal.raise_signal(signal.SIGINT)
    obeyed._reminder.join()
    assert capfd.readouterr().err == ""


def test_away_from_the_main_thread_signals_are_left_alone():
    before, after = signal.getsignal(signal.SIGINT), []

    def enter():
        with Interrupt() as context:
            after.append((context.received, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert after == [(None, before)]


def test_a_hangup_that_is_ignored_as_by_nohup_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interrupt() as context:
        signal.raise_signal(signal.SIGHUP)
        assert context.received is None
    signal.signal(signal.SIGHUP, before)


def test_ctrl_c_while_the_folders_of_a_sweep_are_made_leaves_a_sweep_that_can_be_resumed(tmp_path, monkeypatch):
    describe = plan.describe_job
    monkeypatch.setattr(plan, "describe_job", lambda *args: (signal.raise_signal(signal.SIGINT), describe(*args)))
    with pytest.raises(SystemExit) as end:
        train(overrides=["env=Pendulum-v1", "seed=0,1,2", f"output={tmp_path}"], flags={"-m"})
    assert end.value.code == 130
    (sweep,) = tmp_path.glob("sweeps/*")
    assert [read_status(sweep / f"s{seed}").state for seed in range(3)] == ["not started"] * 3
    assert [job.config.seed for job in read_sweep(sweep).unfinished.values()] == [0, 1, 2]


def test_ctrl_c_while_the_folders_of_a_trial_are_made_leaves_a_search_that_can_be_resumed(tmp_path, monkeypatch):
    describe = runner.describe_job
    monkeypatch.setattr(runner, "describe_job", lambda *args: (signal.raise_signal(signal.SIGINT), describe(*args)))
    with pytest.raises(SystemExit) as end:
        search(overrides=["env=Pendulum-v1", "seed=0,1", "algo.gamma=0.9,0.99", f"output={tmp_path}"], flags=set())
    assert end.value.code == 130
    (folder,) = tmp_path.glob("searches/*")
    assert [read_status(folder / f"trial-000_s{seed}").state for seed in range(2)] == ["interrupted"] * 2
    plan = plan_again(folder, [])
    study = Study(folder, plan.space, plan.search, plan.config.total_steps)
    assert [trial.number for trial in study.interrupted_trials()] == [0]
