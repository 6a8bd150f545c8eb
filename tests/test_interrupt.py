import signal
import threading

import pytest

from rlcont.interrupt import Interrupt


def test_an_interrupt_that_was_swallowed_is_raised_again():
    before = signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:
        interrupt.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
    assert signal.getsignal(signal.SIGINT) is before


def test_away_from_the_main_thread_signals_are_left_alone():
    before, after = signal.getsignal(signal.SIGINT), []

    def enter():
        with Interrupt() as interrupt:
            interrupt.check()
            after.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert after == [before]
