"""Bounds on what foreign code, such as a chat template, may take of time and memory."""

from __future__ import annotations

import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PAGE = resource.getpagesize()
AGAIN = 0.1  # seconds between alarms after the first, for what catches all exceptions


class OverLimitsError(BaseException):
    """It took more than it may; the message says of what. No ``except Exception`` inside goes on after it."""


@contextmanager
def limited(seconds: float, more_bytes: int) -> Iterator[None]:
    """Raise ``OverLimitsError`` when what runs inside takes longer, or more memory beyond what the process has.

    Time is bounded in the main thread only, and memory where /proc tells how much there is: on Linux.
    """
    # An alarm that is already set belongs to another's bound, which is then left to hold alone.
    in_time = threading.current_thread() is threading.main_thread() and not any(signal.getitimer(signal.ITIMER_REAL))
    former: Any = None
    inside = True

    def too_long(*_: object) -> None:
        if inside:
            raise OverLimitsError("more time than it may")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        if in_time:
            former = signal.signal(signal.SIGALRM, too_long)
            signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
        if (most := _most(more_bytes, soft)) is not None:
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        yield
    except MemoryError:
        raise OverLimitsError(f"more than {more_bytes >> 20} MiB of memory") from None
    finally:
        inside = False
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        if in_time:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, former)


def _most(more_bytes: int, soft: int) -> int | None:
    """The bound on the address space; None where it is not known how large that is, or a lower bound holds."""
    try:
        most = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * PAGE + more_bytes
    except (OSError, ValueError, IndexError):
        return None
    return most if soft == resource.RLIM_INFINITY or most < soft else None
