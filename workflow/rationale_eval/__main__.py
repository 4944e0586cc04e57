"""``python -m rationale_eval STAGE …``: the commands that the Snakemake rules call, and that a person can repeat."""

from __future__ import annotations

import errno
import importlib
import os
import sys

from rationale_eval.errors import NO_ROOM, UserError
from rationale_eval.long_arguments import expanded
from rationale_eval.stages import STAGES

# Read when Arrow is imported. Its own pools reserve a gigabyte at once, within which a bound of memory does not hold.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

# The disk, a quota or the largest size of a file is reached.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def usage() -> str:
    """The text of ``--help``."""
    width = max(map(len, STAGES))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in STAGES.items()]
    return "usage: python -m rationale_eval STAGE [--help] …\n\nstages:\n" + "\n".join(lines)


def main(argv: list[str]) -> int:
    """Run one stage; the return value is the exit status."""
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0
    if argv[0] not in STAGES:
        print(f"error: unknown stage {argv[0]!r}\n\n{usage()}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"rationale_eval.{STAGES[argv[0]][0]}")
    try:
        module.main(expanded(argv[1:]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in FULL:
            raise
        print(f"error: {error.filename or 'a file of this job'}: {NO_ROOM}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
