"""What has been spent, as the memo has it, and the budget that no request may pass."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rationale_eval.errors import UserError

PER_PRICE = 1_000_000  # prices are per million tokens


class OverBudgetError(UserError):
    """The next request might pass the budget, so that it is not sent."""


@dataclass(frozen=True)
class Spending:
    """Requests sent, and tokens of prompts and of replies."""

    requests: int = 0
    prompt: int = 0
    reply: int = 0

    def __add__(self, other: Spending) -> Spending:
        return Spending(self.requests + other.requests, self.prompt + other.prompt, self.reply + other.reply)

    def __sub__(self, other: Spending) -> Spending:
        return Spending(self.requests - other.requests, self.prompt - other.prompt, self.reply - other.reply)

    @property
    def tokens(self) -> int:
        """Tokens of prompts and replies together."""
        return self.prompt + self.reply

    def money(self, price: Mapping[str, float] | None) -> float:
        """What it costs at ``price``: ``input`` and ``output`` for a million tokens; 0 without a price."""
        return 0.0 if price is None else (self.prompt * price["input"] + self.reply * price["output"]) / PER_PRICE

    def stored(self) -> list[int]:
        """As the memo keeps it."""
        return [self.requests, self.prompt, self.reply]


def spent(values: Iterable[Any]) -> Spending:
    """The sum over the values of an API's memo: replies, and requests that came to nothing."""
    total = Spending()
    for value in values:
        total += Spending(*value["spent"])
    return total


class Ledger:
    """Counts what is spent and holds the budget, in one process.

    ``budget`` has ``requests``, ``tokens`` and ``money``, each a number or None. Of every request the worst case is
    reserved before it is sent. Where that might pass the budget, it waits for requests under way, which mostly cost
    less than was reserved; ``reserve`` raises ``OverBudgetError`` if that does not help.
    """

    def __init__(
        self, already: Spending, budget: Mapping[str, float | None], price: Mapping[str, float] | None, name: str
    ) -> None:
        self.spent = already
        self._budget, self._price, self._name = budget, price, name
        self._reserved = Spending()
        self._changed = asyncio.Condition()

    def _passed(self, total: Spending) -> str | None:
        """The first part of the budget that ``total`` passes."""
        amounts = {"requests": total.requests, "tokens": total.tokens, "money": total.money(self._price)}
        for part, amount in amounts.items():
            limit = self._budget[part]
            if limit is not None and amount > limit:
                return part
        return None

    async def reserve(self, worst: Spending) -> None:
        """Set ``worst`` aside."""
        async with self._changed:
            while (part := self._passed(self.spent + self._reserved + worst)) is not None:
                if not self._reserved.requests:
                    raise OverBudgetError(
                        f"the next request might pass models.{self._name}.budget.{part} ({self._budget[part]:g}); "
                        f"spent so far: {self.text()}"
                    )
                await self._changed.wait()
            self._reserved += worst

    async def settle(self, worst: Spending, really: Spending) -> None:
        """Put what was really spent in the place of what was reserved."""
        async with self._changed:
            self._reserved -= worst
            self.spent += really
            self._changed.notify_all()

    def text(self) -> str:
        """What has been spent, in words."""
        parts = [f"{self.spent.requests} requests", f"{self.spent.prompt} + {self.spent.reply} tokens"]
        if self._price is not None:
            parts.append(f"{self.spent.money(self._price):.4f} at the prices of models.{self._name}.price")
        return ", ".join(parts)
