"""What a run says."""

import io

import pytest
from rich.console import Console

from rlcont.runs import console
from rlcont.runs.console import BarReporter, LineReporter, RemainingTime, span

ROW = {"return_mean": -1234.56, "return_std": 123.44}


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands; its hands are set by hand."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(console, "time", clock)
    return clock


def test_the_remaining_time_goes_by_the_steps_since_learning_began(clock):
    remaining = RemainingTime(10_000)
    assert remaining.mark(1000, False) == "not yet known"
    clock.now += 1
    assert remaining.mark(2000, True) == "-"
    clock.now += 100
    assert remaining.mark(3000, True) == "0:11:40"  # 7000 steps at 10 a second.
    clock.now += 50  # An evaluation, in which no step is taken.
    assert remaining.mark(3000, True) == "0:17:30"
    clock.now += console.WINDOW
    remaining.mark(4000, True)
    clock.now += console.WINDOW + 1
    assert remaining.mark(7000, True) == "0:05:01"  # By the last window alone, in which 3000 steps were taken.
    assert remaining.mark(10_000, True) == "0:00:00"
    assert remaining.mark(10_064, True) == "0:00:00"  # Actors of a cluster may play past the end.


def test_lines_are_plain_and_complete(capsys, clock):
    reporter = LineReporter(1000)
    reporter.progress(100, False, None, 500.0)
    reporter.progress(200, True, -12.34, 50.0)
    clock.now += 4
    reporter.progress(300, True, -12.34, 50.0)
    reporter.evaluated(200, ROW)
    reporter.close()
    assert capsys.readouterr().out.splitlines() == [
        "step 100/1000  return -  500 steps/s  ETA not yet known",
        "step 200/1000  return -12.3  50 steps/s  ETA -",
        "step 300/1000  return -12.3  50 steps/s  ETA 0:00:28",
        "step 200/1000  evaluation -1234.6 ± 123.4",
    ]


EXPECTED = {
    60: "123,456/1,000,000  eval -1234.6  ETA 0:04:59",
    80: "123,456/1,000,000  return -987.7  eval -1234.6  2932 steps/s  ETA 0:04:59",
    103: "123,456/1,000,000  12%  return -987.7  eval -1234.6 ± 123.4  2932 steps/s  0:00:08  ETA 0:04:59",
    120: "━━──────────────────  "
    "123,456/1,000,000  12%  return -987.7  eval -1234.6 ± 123.4  2932 steps/s  0:00:08  ETA 0:04:59",
    200: f"{'━' * 12}{'─' * 88}  "
    "123,456/1,000,000  12%  return -987.7  eval -1234.6 ± 123.4  2932 steps/s  0:00:08  ETA 0:04:59",
}


@pytest.mark.parametrize("width", EXPECTED)
def test_the_bar_is_one_line_at_every_width(width, clock):
    now = [(0, False)]
    screen = io.StringIO()
    reporter = BarReporter(Console(file=screen, force_terminal=True, width=width), 1_000_000, lambda: now[0])
    assert reporter.line().plain.endswith("0/1,000,000  0%  0:00:00  ETA not yet known")
    now[0] = (100_000, True)
    reporter.line()
    clock.now += 8
    reporter.progress(100_000, True, -987.68, 281.4)
    reporter.evaluated(120_000, ROW)
    now[0] = (123_456, True)
    line = reporter.line().plain
    reporter.close()
    assert len(line) <= width - 3
    assert line == EXPECTED[width]


def test_a_long_evaluation_says_how_far_it_is():
    reporter = BarReporter(Console(file=io.StringIO(), force_terminal=True, width=120), 1000, lambda: (0, False))
    reporter.evaluating("step 10 of episode 1 of 2")
    assert "evaluating: step 10 of episode 1 of 2" in reporter.line().plain
    reporter.close()


def test_a_span_by_hand():
    assert (span(3600.4), span(None)) == ("1:00:00", "-")
