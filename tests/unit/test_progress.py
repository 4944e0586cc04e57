"""Progress lines: rate and time left from what this process did."""

from __future__ import annotations

import pytest
from rationale_eval import progress
from rationale_eval.progress import Progress, say


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until ``clock.now`` is moved."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_line_has_count_rate_elapsed_and_left(clock, capsys):
    tracker = Progress("scores", total=100, unit="inputs")
    clock.now += 10
    tracker.advance(20)
    assert lines(capsys) == ["scores: 20/100 inputs, 2.0 inputs/s, 0:10 elapsed, 0:40 left"]


def test_lines_are_spaced_in_time_but_the_last_always_comes(clock, capsys):
    tracker = Progress("scores", total=10, unit="inputs", every=5)
    for _ in range(9):
        clock.now += 1
        tracker.advance(1)
    assert [line.split(",")[0] for line in lines(capsys)] == ["scores: 5/10 inputs"]
    clock.now += 0.1
    tracker.advance(1)
    assert [line.split(",")[0] for line in lines(capsys)] == ["scores: 10/10 inputs"]


def test_what_an_earlier_run_did_does_not_count_for_the_rate(clock, capsys):
    tracker = Progress("scores", total=1000, unit="inputs", skipped=900)
    clock.now += 10
    tracker.advance(10)
    assert lines(capsys) == ["scores: 910/1000 inputs, 1.0 inputs/s, 0:10 elapsed, 1:30 left"]


def test_hours_are_written_as_hours(clock, capsys):
    tracker = Progress("scores", total=10_000, unit="inputs")
    clock.now += 3600 + 62
    tracker.advance(1)
    assert "1:01:02 elapsed" in lines(capsys)[0]


def test_no_time_passed_is_no_error(clock, capsys):
    Progress("scores", total=1, unit="inputs").advance(1)
    assert len(lines(capsys)) == 1
    tracker = Progress("scores", total=2, unit="inputs", every=0)
    tracker.advance(0)
    assert "unknown left" in lines(capsys)[0]


def test_messages_go_to_the_log_and_not_to_the_output(capsys):
    say("hello")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")
