"""Ctrl-C in the middle of what is to be finished first."""

import signal


def interrupt_once(monkeypatch, module, name):
    """Ctrl-C comes right after the first call of the function `name` of `module`."""
    function = getattr(module, name)
    coming = [signal.SIGINT]

    def interrupted(*arguments):
        function(*arguments)
        if coming:
            signal.raise_signal(coming.pop())

    monkeypatch.setattr(module, name, interrupted)
