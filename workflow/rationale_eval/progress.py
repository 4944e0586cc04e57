"""Progress lines with a rate and an estimate of the time left, for logs that are read while a job runs."""

from __future__ import annotations

import sys
import time


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def say(message: str) -> None:
    """Write one line to the log (standard error, which each rule sends to its ``log:`` file)."""
    print(message, file=sys.stderr, flush=True)


class Progress:
    """Count finished units of work and print a line at most every ``every`` seconds, and one at the end.

    The rate is taken over the units done by this process alone: what a resumed job found already done (``skipped``)
    would otherwise promise too early an end.
    """

    def __init__(self, what: str, total: int, unit: str, skipped: int = 0, every: float = 5.0) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = self.skipped = skipped
        self.every = every
        self.start = self.last = time.monotonic()

    def advance(self, units: int) -> None:
        """Record ``units`` more as done."""
        self.done += units
        now = time.monotonic()
        if now - self.last >= self.every or self.done >= self.total:
            self.last = now
            self._line(now)

    def elapsed(self) -> float:
        """Seconds since the start."""
        return max(time.monotonic() - self.start, 1e-9)

    def _line(self, now: float) -> None:
        elapsed = max(now - self.start, 1e-9)
        rate = (self.done - self.skipped) / elapsed
        left = _clock((self.total - self.done) / rate) if rate > 0 else "unknown"
        say(
            f"{self.what}: {self.done}/{self.total} {self.unit}, {rate:.1f} {self.unit}/s, "
            f"{_clock(elapsed)} elapsed, {left} left"
        )
