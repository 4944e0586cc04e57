"""Put many requests to an API, several at a time: each reply is in the memo the moment it arrives.

The memo of an endpoint's model is shared by all stages, and is the ledger of what was spent: a job holds it alone, so
that limits and budget hold however many jobs Snakemake starts.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from rationale_eval.apis.client import API_ERROR, Client, NoReplyError, without_logprobs
from rationale_eval.apis.completion import OK
from rationale_eval.apis.ledger import Ledger, OverBudgetError, Spending, spent
from rationale_eval.apis.refusals import NO_TEMPERATURE, TOO_LONG
from rationale_eval.apis.request import Request
from rationale_eval.errors import UserError
from rationale_eval.memo import Memo, digest
from rationale_eval.progress import Progress, say
from rationale_eval.thoughts import cut_off

Name = TypeVar("Name")

STAGE = "api"  # the memo's folder
LOST = "lost "  # begins the memo's keys of requests that came to nothing but cost something
WAY = "way "  # begins those of ways in which the server wants to be asked
GIVE_UP = 20  # requests in a row that came to nothing, though each was tried again, before the job ends
REFUSED = 5  # requests that a server refused, none having been answered ever, before the job ends
CUT_OFF_IN_A_ROW = 24  # replies that were cut off before any answer, before the job ends


def memo_context(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a reply depends on besides the request. Not the code: what is paid for stays."""
    return {"api": settings["address"], "model": settings["model"], "format": 1}


@contextmanager
def held(root: Path, settings: Mapping[str, Any]) -> Iterator[Memo]:
    """The memo of an endpoint's model, for this job alone; another one is waited for."""
    context = memo_context(settings)
    (root / STAGE).mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / STAGE / f"{digest(context)[:24]}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"waiting for another job that asks {settings['model']} at {settings['address']}")
        lock.acquire()
    try:
        with Memo(root, STAGE, context) as memo:
            yield memo
    finally:
        lock.release()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP, with which clusters and terminals end jobs, do what Ctrl-C does.

    What is under way is then counted as spent.
    """
    names = [signal.SIGTERM, signal.SIGHUP] if threading.current_thread() is threading.main_thread() else []
    before = {name: signal.signal(name, lambda *_: signal.raise_signal(signal.SIGINT)) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


class _Store:
    """Puts results into the memo beside the event loop; what comes in meanwhile goes together in the next write."""

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        self._waiting: dict[str, Any] = {}
        self._writing = asyncio.Lock()

    async def put(self, key: str, value: Any) -> None:
        self._waiting[key] = value
        async with self._writing:
            if key in self._waiting:  # else it went with those of another
                batch, self._waiting = self._waiting, {}
                await asyncio.to_thread(self._memo.put, batch)

    def rest(self) -> None:
        """Put what an interruption kept from being put; not beside the event loop, but after it."""
        if self._waiting:
            self._memo.put(self._waiting)


class _Run:
    """The requests of one job under way."""

    def __init__(self, what: str, wanted: Mapping[str, Request], memo: Memo, settings: Mapping[str, Any]) -> None:
        missing = {key: request for key, request in wanted.items() if key not in memo}
        self.failed: dict[str, NoReplyError] = {}
        self.end: UserError | None = None
        self._unwritten: OSError | None = None
        self._left = iter(missing.items())
        self._settings, self._memo = settings, memo
        self._store = _Store(memo)
        self._ledger = Ledger(spent(memo.values()), settings["budget"], settings["price"], settings["name"])
        sizes = [request.expected_tokens + request.reply_tokens for request in missing.values()]
        self._largest = max(sizes, default=1)
        self._in_a_row = self._answered = self._refused = self._cut = 0
        there = memo.keys()
        self.ways = {key.removeprefix(WAY) for key in there if key.startswith(WAY)}
        # Whether the model has ever answered.
        self._known = any("text" in value for value in memo.values())
        known = len(wanted) - len(missing)
        say(
            f"{what}: {len(wanted)} requests, {known} in the memo, {len(missing)} to send; spent: {self._ledger.text()}"
        )
        self.progress = Progress(what, len(wanted), "requests", skipped=known)

    async def all(self) -> None:
        """Send what is missing. What is under way when the run must end is waited for: it is paid for.

        Raises ``OSError`` where a reply cannot be written. ``keep`` is to be called after it, however it ended.
        """
        async with (
            Client(self._settings, self._ledger, self._largest, self.ways) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(self._settings["concurrency"]):
                group.create_task(self._one_by_one(client))
        if self._unwritten is not None:
            raise self._unwritten
        say(f"spent by all jobs so far: {self._ledger.text()}")

    def keep(self) -> None:
        """Put into the memo what was paid for and is not there: after an interruption or without room, it would else
        not count in the budget of later runs."""
        try:
            self._store.rest()
            self._memo.put(
                {f"{WAY}{way}": {"spent": [0, 0, 0]} for way in self.ways if f"{WAY}{way}" not in self._memo}
            )
        finally:
            lost = self._ledger.spent - spent(self._memo.values())
            if lost.requests:
                self._memo.put(_lost(lost))

    async def _one_by_one(self, client: Client) -> None:
        for key, request in self._left:
            found, spending = await client.ask(request)
            try:
                await self._take(key, request, found, spending)
            except OSError as error:
                self._unwritten = self._unwritten or error
            self.progress.advance(1)
            if self.end is not None or self._unwritten is not None:
                return

    async def _take(
        self, key: str, request: Request, found: dict[str, Any] | NoReplyError | UserError, spending: Spending
    ) -> None:
        if not isinstance(found, dict):
            await self._without_reply(key, found, spending)
            return
        self._in_a_row, self._answered = 0, self._answered + 1
        await self._store.put(key, found | {"spent": spending.stored()})
        if request.body.get("logprobs") and found["status"] == OK and not with_alternatives(found["logprobs"]):
            self.end = without_logprobs(self._settings)  # before all are paid for
        self._cut = self._cut + 1 if found["status"] == OK and cut_off(found["text"], found["finish"]) else 0
        if self.end is None and self._cut >= CUT_OFF_IN_A_ROW:
            name = self._settings["name"]
            self.end = UserError(
                f"{self._cut} replies in a row were cut off at {request.reply_tokens} tokens before they answered, as "
                f"of a model that thinks: raise models.{name}.answer_tokens (classifications) or max_new_tokens of the "
                f"prompted method, or let it think less by models.{name}.source.options"
            )

    async def _without_reply(self, key: str, found: NoReplyError | UserError, spending: Spending) -> None:
        if spending.requests:
            for lost, cost in _lost(spending).items():
                await self._store.put(lost, cost)
        if isinstance(found, UserError):
            # A budget that is spent says least about what else is wrong.
            if self.end is None or isinstance(self.end, OverBudgetError):
                self.end = found
            return
        self.failed[key] = found
        if found.status == API_ERROR:
            say(f"no reply after {spending.requests} tries: {found}")
            self._in_a_row += 1
        self._refused += found.refused
        if self.end is None and self._refused >= REFUSED and not self._answered and not self._known:
            self.end = UserError(
                f"models.{self._settings['name']}.source: the API refuses all requests; the last: {found}"
            )
        if self.end is None and self._in_a_row >= max(GIVE_UP, 2 * self._settings["concurrency"]):
            self.end = UserError(f"{self._in_a_row} requests in a row came to nothing; the last: {found}")

    def check_answered(self) -> None:
        """End where nothing that was sent came to a reply: a server that is down, or refuses whatever it is asked.

        A text that is refused because of what it says is no sign of that, once the model has answered others.
        """
        failures = list(self.failed.values())
        if self.end is not None or self._answered or not failures:
            return
        if not self._known or any(failure.status == API_ERROR and not failure.refused for failure in failures):
            where = f"models.{self._settings['name']}.source"
            self.end = UserError(f"{where}: none of {len(failures)} requests came to a reply; the last: {failures[-1]}")


def with_alternatives(logprobs: Any) -> bool:
    """Whether the log-probabilities of a reply's tokens have those of other tokens beside the first."""
    return bool(logprobs) and bool(logprobs[0][2])


def _lost(spending: Spending) -> dict[str, Any]:
    """An entry of the memo for what came to nothing. It is no reply: a later run asks again. But its cost counts."""
    return {f"{LOST}{uuid.uuid4().hex}": {"spent": spending.stored()}}


def ask_all(
    what: str, requests: Mapping[Name, Request], root: Path, settings: Mapping[str, Any]
) -> dict[Name, dict[str, Any]]:
    """The outcome of every request by its name: a reply as ``Client.ask`` gives it, or ``status`` alone.

    ``requests`` maps names of the caller's to requests, of which equal ones are sent once. ``settings`` are those of
    ``Client`` and ``concurrency``, ``budget`` and ``price``. Raises ``UserError`` where asking must end before all is
    asked, and ``OSError`` where the memo cannot be written; what was answered until then is kept, and what it cost.
    """
    wanted = {request.key: request for request in requests.values()}
    with held(root, settings) as memo:
        run = _Run(what, wanted, memo, settings)
        if any(key not in memo for key in wanted):
            try:
                with _interruptible():
                    asyncio.run(run.all())
            finally:
                run.keep()
            run.check_answered()
        if run.end is not None:
            done = sum(key in memo for key in wanted)
            more = "; raise it" if isinstance(run.end, OverBudgetError) else ""
            raise UserError(
                f"{run.end}{more}. {done} of {len(wanted)} requests of this step are answered and kept, "
                f"{len(wanted) - done} are left: run the same command again to go on"
            )
        outcomes = {
            key: memo[key] if key in memo else {"status": run.failed[key].status, "reason": str(run.failed[key])}
            for key in wanted
        }
    found = {name: outcomes[request.key] for name, request in requests.items()}
    counts = Counter(outcome["status"] for outcome in found.values())
    say(f"{what}: {dict(counts)}")
    if NO_TEMPERATURE in run.ways:
        say("the server takes no temperature: its replies are sampled, and a repetition may differ")
    if counts[API_ERROR] or counts[TOO_LONG]:
        say("rows without a reply are counted; to ask for them again: snakemake --forcerun and the rule's name")
    return found
