"""Bounds on what code takes of time and memory, where it does what a file says, or is the template of a model."""

from __future__ import annotations

import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PAGES_OF_DATA = Path("/proc/self/statm")
AGAIN = 0.1  # seconds between alarms after the first, for what catches all exceptions


class OverLimitsError(BaseException):
    """It took more than it may; the message says of what. No ``except Exception`` inside goes on after it."""


@contextmanager
def bounded_memory(most: int) -> Iterator[None]:
    """Let the process take at most ``most`` bytes more than it has now; beyond that ``MemoryError`` is raised inside.

    What an allocator has reserved before counts as had. No bound where the system does not
    tell what a process has (macOS).
    """
    try:
        now = int(_PAGES_OF_DATA.read_text().split()[5]) * resource.getpagesize()
    except FileNotFoundError:
        yield
        return
    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    known = [limit for limit in (now + most, before, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(known), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))


@contextmanager
def bounded(seconds: float, most: int) -> Iterator[None]:
    """Raise ``OverLimitsError`` when what runs inside takes longer, or ``most`` bytes more than the process has now.

    Time is bounded in the main thread only, and memory as by ``bounded_memory``.
    """
    # An alarm that is already set belongs to another's bound, which is then left to hold alone.
    in_time = threading.current_thread() is threading.main_thread() and not any(signal.getitimer(signal.ITIMER_REAL))
    former: Any = None
    inside = True

    def too_long(*_: object) -> None:
        if inside:
            raise OverLimitsError("more time than it may")

    try:
        if in_time:
            former = signal.signal(signal.SIGALRM, too_long)
            signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
        with bounded_memory(most):
            yield
    except MemoryError:
        raise OverLimitsError(f"more than {most >> 20} MiB of memory") from None
    finally:
        inside = False
        if in_time:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, former)
