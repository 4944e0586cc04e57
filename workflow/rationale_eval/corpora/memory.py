"""A bound on the memory that a block of code takes, for libraries that allocate what a file tells them to."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAGES_OF_DATA = Path("/proc/self/statm")


@contextmanager
def room(most: int) -> Iterator[None]:
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
