"""What a run says."""

import io

from rich.console import Console

from rlcont.runs.console import BarReporter, LineReporter, eta


def test_lines_are_plain_and_complete(capsys):
    reporter = LineReporter(1000)
    reporter.progress(100, None, 50.0)
    reporter.progress(200, -12.34, 50.0)
    reporter.evaluated(200, 7.0, 1.25)
    reporter.close()
    assert capsys.readouterr().out.splitlines() == [
        "step 100/1000  return -  50 steps/s  ETA 0:00:18",
        "step 200/1000  return -12.3  50 steps/s  ETA 0:00:16",
        "step 200/1000  evaluation 7.0 ± 1.2",
    ]


def test_the_bar_shows_step_return_evaluation_speed_and_eta():
    screen = io.StringIO()
    reporter = BarReporter(Console(file=screen, force_terminal=True, width=160), 1000)
    reporter.progress(200, -12.34, 50.0)
    reporter.evaluated(200, 7.0, 1.0)
    reporter.close()
    last = screen.getvalue()
    for part in ("200/1,000", "return -12.3", "eval 7.0 ± 1.0", "50 steps/s", "ETA 0:00:16"):
        assert part in last


def test_eta_by_hand():
    assert eta(7200, 2.0) == "1:00:00"
    assert eta(10, 0.0) == "-"
