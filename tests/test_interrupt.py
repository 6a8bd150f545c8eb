import signal
import threading

import pytest

from rlcont.core.errors import Stopped
from rlcont.training.interrupt import SIGNALS, Interrupt


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_is_remembered_the_second_raised_and_the_third_not_caught(number, code):
    before = [signal.getsignal(each) for each in SIGNALS]
    with Interrupt() as interrupt:
        assert interrupt.received is None
        signal.raise_signal(number)
        assert interrupt.received == number
        with pytest.raises(Stopped) as stopped:
            signal.raise_signal(number)
        assert stopped.value.exit_code == code
        assert [signal.getsignal(each) for each in SIGNALS] == [signal.SIG_DFL] * 3
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_away_from_the_main_thread_signals_are_left_alone():
    before, after = signal.getsignal(signal.SIGINT), []

    def enter():
        with Interrupt() as interrupt:
            after.append((interrupt.received, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert after == [(None, before)]


def test_a_hangup_that_is_ignored_as_by_nohup_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGHUP)
        assert interrupt.received is None
    signal.signal(signal.SIGHUP, before)
