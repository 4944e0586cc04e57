"""Whether requests keep the concurrency busy that an API allows: a server on this machine answers after a fixed time.

    python benchmarks/api.py                                      400 requests, 32 at a time, 0.5 s each
    python benchmarks/api.py --requests N --concurrency C --latency SECONDS

The most that can be done is concurrency / latency requests a second. A reply is on the disk before its place is free.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests")]


def main() -> None:
    """Ask, and print the rate beside the highest possible one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.5, help="seconds until the server answers")
    args = parser.parse_args()

    import loopback_api
    from rationale_eval.apis.asking import ask_all
    from rationale_eval.apis.request import Request

    requests = {
        number: Request({"messages": [{"role": "user", "content": f"Text: a film {number}"}], "max_tokens": 8}, 8)
        for number in range(args.requests)
    }
    os.environ["LOOPBACK_KEY"] = loopback_api.KEY
    with tempfile.TemporaryDirectory() as folder, loopback_api.running() as api:
        api.latency = args.latency
        settings = {"name": "loopback", "address": api.address, "model": loopback_api.MODEL, "key": "LOOPBACK_KEY"}
        settings |= {"concurrency": args.concurrency, "requests_per_minute": None, "tokens_per_minute": None}
        settings |= {"timeout": 30, "retries": 0, "price": None}
        settings |= {"budget": {"requests": None, "tokens": None, "money": None}}
        start = time.perf_counter()
        found = ask_all("benchmark", requests, Path(folder), settings)
        wall = time.perf_counter() - start
        assert all(outcome["status"] == "ok" for outcome in found.values())
        assert len(api.received) == args.requests
    rate, most = args.requests / wall, args.concurrency / args.latency
    print(
        f"{args.requests} requests in {wall:.2f} s: {rate:.0f} requests/s of {most:.0f} possible ({rate / most:.0%}), ",
        end="",
    )
    print(f"at most {api.busy} of {args.concurrency} under way at a time")


if __name__ == "__main__":
    main()
