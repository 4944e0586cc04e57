"""One request to an OpenAI-compatible endpoint: limits on its rate, tries, waiting as the server asks, the reply."""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from unittest.mock import patch

import httpx2
import openai
import tenacity
from aiolimiter import AsyncLimiter

from rationale_eval.apis.bodies import ENCODINGS, bound
from rationale_eval.apis.completion import ServerError, kept
from rationale_eval.apis.echoes import Echoes
from rationale_eval.apis.ledger import Ledger, Spending
from rationale_eval.apis.refusals import about_text, asked_by, other_way
from rationale_eval.apis.request import Request
from rationale_eval.errors import UserError, without_user_info
from rationale_eval.progress import say

API_ERROR = "api_error"
# Statuses of HTTP after which the same request may succeed: time-out, conflict, too many requests; and all from 500.
PASSING = frozenset({408, 409, 429})
# A body is read up to so many bytes, and so many more for each token that was allowed; with log-probabilities of the
# alternatives, tokens take more.
LARGEST, PER_TOKEN, PER_SCORED_TOKEN = 1 << 16, 64, 1 << 13
# Environment variables that say how servers are reached; in small letters too.
_CONNECTING = tuple(
    spelt
    for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
    for spelt in (name, name.lower())
)
LONGEST_WAIT = 86_400.0  # seconds that a server may ask to wait at a time: daily limits end after a day
LONG_WAIT = 5.0  # seconds; a longer wait that the server asks for is told
NO_KEY = "none"  # some value is needed; the client would else look for a key of its own accord


class NoReplyError(Exception):
    """A request that came to nothing; the message is the reason. ``status`` is that of its row.

    ``billed``: the server may have answered, and counted it, though nothing usable arrived. ``refused``: it was there,
    and would not answer this request, as far as one can tell.
    """

    def __init__(self, reason: str, status: str = API_ERROR, billed: bool = False, refused: bool = False) -> None:
        super().__init__(reason)
        self.status, self.billed, self.refused = status, billed, refused


class PassingError(NoReplyError):
    """A failure after which it is worth asking again, not before ``after`` seconds if the server says so."""

    def __init__(self, reason: str, after: float | None = None, billed: bool = False) -> None:
        super().__init__(reason, billed=billed)
        self.after = after


def key_of(settings: Mapping[str, Any]) -> str:
    """The key, from the environment variable that the configuration names. Raises ``UserError`` if that is not set."""
    variable = settings["key"]
    if variable is None:
        return NO_KEY
    found = os.environ.get(variable, "").strip()
    if not found:
        raise UserError(
            f"the environment variable {variable}, which models.{settings['name']}.source.key names, is not set: it "
            f"must hold the key of the API"
        )
    if not (found.isascii() and found.isprintable()):
        raise UserError(f"the environment variable {variable} holds characters that no key of an API has")
    return found


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that the server asks to wait (RFC 9110, 10.2.3: a number or a date; OpenAI also in milliseconds).

    At most ``LONGEST_WAIT``; None for what is neither.
    """
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        else:
            seconds = _seconds(headers["retry-after"])
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return None if math.isnan(seconds) else min(max(0.0, seconds), LONGEST_WAIT)


def _seconds(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        when = parsedate_to_datetime(value)
        return (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


class _OtherWayError(Exception):
    """The server wants to be asked in another ``way``; ``failure`` is what its message means otherwise."""

    def __init__(self, way: str, failure: NoReplyError) -> None:
        super().__init__(way)
        self.way, self.failure = way, failure


class Client:
    """Asks one model at one endpoint; an asynchronous context manager.

    ``settings`` has ``name`` (the model's in the configuration), ``address``, ``model``, ``key`` (an environment
    variable or None), ``requests_per_minute``, ``tokens_per_minute``, ``timeout`` and ``retries``. ``largest`` is the
    most tokens that one of the requests to come takes. ``ways`` are those in which the server wants to be asked
    otherwise, as far as is known; those that its messages call for are added. Raises ``UserError`` as ``key_of`` does,
    and for a setting of the environment, such as a proxy, with which no connection can be made.
    """

    def __init__(self, settings: Mapping[str, Any], ledger: Ledger, largest: int, ways: set[str]) -> None:
        self._settings, self._ledger, self._ways = settings, ledger, ways
        key = key_of(settings)
        self._echoes = Echoes(None if key == NO_KEY else key)
        try:
            # No organisation, project or header that the environment has for another endpoint.
            with patch.dict(os.environ):
                for name in [name for name in os.environ if name.startswith("OPENAI_")]:
                    del os.environ[name]
                self._openai = openai.AsyncOpenAI(
                    api_key=key,
                    base_url=settings["address"],
                    max_retries=0,
                    timeout=settings["timeout"],
                    # A redirect would carry the texts to whatever server it names.
                    http_client=openai.DefaultAsyncHttpxClient(
                        follow_redirects=False,
                        timeout=settings["timeout"],
                        headers={"Accept-Encoding": ENCODINGS},
                        event_hooks={"response": [bound]},
                    ),
                )
        except Exception as error:  # of many kinds: proxies and certificates are read from the environment here
            raise UserError(
                f"no connection to {settings['address']} can be made ({_one_line(error)}){of_environment()}"
            ) from None
        requests, tokens = settings["requests_per_minute"], settings["tokens_per_minute"]
        # Spread evenly: a minute's worth at once would be twice as much as allowed in the first minute.
        self._request_rate = None if requests is None else AsyncLimiter(1, 60 / requests)
        self._token_rate = None if tokens is None else AsyncLimiter(largest, 60 * largest / tokens)
        self._not_before = 0.0

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._openai.close()

    async def ask(self, request: Request) -> tuple[dict[str, Any] | NoReplyError | UserError, Spending]:
        """The reply, or why there is none, and what the tries cost.

        A reply has ``status``, ``text``, ``finish``, ``prompt_tokens``, ``reply_tokens``, ``served`` (the names that
        the server gives its model and system) and ``logprobs``. It is a ``UserError`` where no other request would fare
        better, and ``OverBudgetError`` where the next try might pass the budget.
        """
        spending = Spending()
        tries = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._settings["retries"] + 1),
            wait=_wait,
            retry=tenacity.retry_if_exception_type(PassingError),
            reraise=True,
        )
        try:
            async for attempt in tries:
                with attempt:
                    worst = Spending(1, request.most_tokens, request.reply_tokens)
                    await self._turn(request, worst)
                    cost = worst  # unless it is known to be less
                    try:
                        reply = await self._once(request)
                        cost = _usage(reply, worst)
                    except (NoReplyError, UserError) as failure:
                        if not (isinstance(failure, NoReplyError) and failure.billed):
                            cost = Spending(1)
                        raise
                    finally:
                        spending += cost
                        await self._ledger.settle(worst, cost)
        except (NoReplyError, UserError) as failure:
            return failure, spending
        except Exception as error:  # of whatever kind: it costs this request, and not those under way
            return NoReplyError(self._clean(f"unexpected {_one_line(error)}"), billed=True), spending
        return reply, spending

    async def _turn(self, request: Request, worst: Spending) -> None:
        """Wait until the request may be sent: by the budget, the rates, and what the server asked for."""
        await self._ledger.reserve(worst)
        if self._request_rate is not None:
            await self._request_rate.acquire()
        if self._token_rate is not None:
            await self._token_rate.acquire(request.expected_tokens + request.reply_tokens)
        while (left := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(left)

    async def _once(self, request: Request) -> dict[str, Any]:
        """One try, and others at once where the server's message says how it wants to be asked."""
        while True:
            ways = set(self._ways)
            body = asked_by(request.body, ways)
            try:
                return await self._try(request, body)
            except _OtherWayError as error:
                if error.way in ways:
                    raise error.failure from None
                if error.way not in self._ways:
                    say(f"the server wants to be asked otherwise ({error.way}): {error.failure}")
                self._ways.add(error.way)

    async def _try(self, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
        limit = self._settings["timeout"]
        try:
            # The client's own limit is for each piece that arrives; a server that drips would never reach it.
            async with asyncio.timeout(limit):
                raw = await self._body(request, body)
        except TimeoutError:
            raise PassingError(f"no whole reply within {limit:g} s", billed=True) from None
        except openai.APIStatusError as error:
            raise self._of_status(error, body) from None
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            sent = not isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
            reason = self._clean(f"connection failed ({_cause(error)})") + of_environment()
            raise PassingError(reason, billed=sent) from None
        try:
            return self._without_key(self._echoes.hide_in(kept(json.loads(raw))))
        except ServerError as error:
            status = error.code if isinstance(error.code, int) else 200
            raise self._judged(status, str(error), error.code, body, None) from None
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
            # The reason is not shown: it would quote the reply.
            raise PassingError(f"the reply ({len(raw)} bytes) is no chat completion in JSON", billed=True) from None

    def _without_key(self, reply: dict[str, Any]) -> dict[str, Any]:
        """A reply without a key that its scored tokens spell."""
        if scored := reply["logprobs"]:
            tokens = self._echoes.hide_across([token for token, *_ in scored])
            reply["logprobs"] = [[token, *rest] for token, (_, *rest) in zip(tokens, scored, strict=True)]
        return reply

    async def _body(self, request: Request, body: Mapping[str, Any]) -> bytes:
        each = PER_SCORED_TOKEN if request.body.get("logprobs") else PER_TOKEN
        most = LARGEST + each * request.reply_tokens
        # As they are: endpoints have fields that OpenAI has not, or that are named like settings of the client.
        fields = {name: value for name, value in body.items() if name != "messages"}
        async with self._openai.chat.completions.with_streaming_response.create(
            model=self._settings["model"], messages=body["messages"], extra_body=fields
        ) as response:
            found = bytearray()
            async for piece in response.iter_bytes():
                found += piece
                if len(found) > most:
                    raise NoReplyError(f"the reply is larger than {most} bytes: more than its tokens need", billed=True)
        return bytes(found)

    def _of_status(self, error: openai.APIStatusError, body: Mapping[str, Any]) -> Exception:
        """What an error status means."""
        found = error.body
        said = found.get("message") or json.dumps(found) if isinstance(found, dict) else found or error.message
        kind = found.get("type") if isinstance(found, dict) else None
        after = retry_after(error.response.headers)
        return self._judged(error.status_code, str(said), error.code or kind, body, after)

    def _judged(self, status: int, said: str, code: Any, body: Mapping[str, Any], after: float | None) -> Exception:
        """What an error means: for this request, for the way of asking, for all, or for now.

        ``status`` is that of HTTP, or the code of an error that came with 200.
        """
        message = self._clean(f"HTTP {status}: {said}")
        where = f"models.{self._settings['name']}"
        if code == "insufficient_quota" or status == 402:
            return UserError(f"{where}: the account has no quota left ({message})")
        if 300 <= status < 400:
            return UserError(
                f"{where}.source.api: the API answers with a redirect (HTTP {status}), which is not followed; set it "
                "to the address itself"
            )
        if status in PASSING or status >= 500:
            self._pause(after)
            return PassingError(message, after)
        if status == 401 or (status == 403 and about_text(said, code) is None):
            variable = self._settings["key"]
            hint = "set `key` to the environment variable that holds one" if variable is None else f"see {variable}"
            return UserError(f"{where}.source.key: the API does not accept the key; {hint} ({message})")
        if status == 404:
            return UserError(
                f"{where}.source: the API at {self._settings['address']} knows no model {self._settings['model']!r} or "
                f"no such address; see `model` and `api` ({message})"
            )
        failure = NoReplyError(message, about_text(said, code) or API_ERROR, refused=True)
        way = other_way(said, body)
        return failure if way is None else _OtherWayError(way, failure)

    def _pause(self, after: float | None) -> None:
        """Send nothing for ``after`` seconds: who asks one request to wait means all of them."""
        until = time.monotonic() + (after or 0.0)
        if after is not None and after > LONG_WAIT and until > self._not_before + 1:
            say(f"the server asks to wait {after:.0f} s; the next request is sent then")
        self._not_before = max(self._not_before, until)

    def _clean(self, text: str) -> str:
        """A server's words for a message: in one line, not too long, and without the key that some echo."""
        text = " ".join(without_user_info(self._echoes.hide(text)).split())
        return text if len(text) <= 300 else text[:300] + "…"


def without_logprobs(settings: Mapping[str, Any]) -> UserError:
    """What is said where log-probabilities were asked for and none came."""
    return UserError(
        f"models.{settings['name']}.predict: the API at {settings['address']} gives no log-probabilities of "
        f"{settings['model']!r}; set predict: text"
    )


_backoff = tenacity.wait_random_exponential(multiplier=0.5, max=60)


def _wait(state: tenacity.RetryCallState) -> float:
    """Full jitter over a time that doubles; never less than the server asked for."""
    error = state.outcome.exception() if state.outcome is not None else None
    after = error.after if isinstance(error, PassingError) else None
    return _backoff(state) + (after or 0.0)


def of_environment() -> str:
    """A hint at variables that stand between this machine and a server, if any is set."""
    found = [name for name in _CONNECTING if os.environ.get(name)]
    return f"; the environment sets {', '.join(found)}" if found else ""


def _one_line(error: BaseException) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 200 else text[:200] + "…"


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"


def _usage(reply: Mapping[str, Any], worst: Spending) -> Spending:
    """What the server says that it counted; the worst case where it does not say, or says more."""
    prompt, tokens = reply["prompt_tokens"], reply["reply_tokens"]
    return Spending(
        1,
        worst.prompt if prompt is None else min(prompt, worst.prompt),
        worst.reply if tokens is None else min(tokens, worst.reply),
    )
