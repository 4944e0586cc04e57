"""What a study would take, before anything is run or sent: calls, tokens, cost and hours, by model and stage.

Counts are upper bounds: replies are taken at their limit, and inputs that several methods ask for are counted for each.
How each number is made is printed with it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence

from rationale_eval.apis.ledger import Spending
from rationale_eval.config_files import add_arguments, merged
from rationale_eval.errors import UserError
from rationale_eval.estimates.apis import bought, calls
from rationale_eval.estimates.corpora import Rows, rows_of
from rationale_eval.estimates.local import floating_point, parameters
from rationale_eval.study import StudyPlan

EACH = ""
# 10^12 operations a second of one core of a server in float32: 0.07 to 0.08 in products of matrices as those of a model
# of 135 million parameters.
PER_CORE = 0.07
NOTES = """\
How the numbers are made
  rows      of a corpus that is prepared, its own; else those of the configuration, and where it says "all" {rows}
            (--rows). A text that is not prepared is taken to have {words} words (--words) of 6 characters, or as many
            as --words CORPUS=N says.
  calls     one for each classification, one for each reply of a prompted method (of several samples each), one for each
            masked text: of every choice of words, of random ones that it is compared with, of all words, by every
            operator. Equal ones are sent once, so that there will be fewer. What the memo holds is not counted, where
            a corpus is prepared.
  tokens    a message has a quarter of its characters, rounded up, and 8; replies are as long as they may be.
  cost      tokens at the prices in the configuration.
  hours     of models that are opened: 2 x parameters x tokens operations forward, 4 x with gradients, 6 x with those of
            all weights (full fine-tuning), at {tflops:g} x 10^12 operations a second on a GPU (--tflops) and {cpu:g} on
            this machine's {cores} cores (--cpu-tflops): guesses of what they keep up, to be replaced by what yours do.
            Loading is not counted. What prompts begin with in common is computed once, and counted for each here: of
            masked texts, most of the work, that is the larger part.
"""


def _line(*cells: str) -> str:
    first, second, *rest = cells
    return f"  {first:<26}{second:<28}" + "".join(f"{cell:>16}" for cell in rest)


def api_lines(plan: StudyPlan, model: str, corpora: dict[str, Rows]) -> Iterator[str]:
    """The part of one model behind an API."""
    entry = plan.apis[model]
    price = None if entry.price is None else entry.price.model_dump()
    memo = bought(plan, model)
    yield f"{model}: {entry.source.model} at {entry.source.api}"
    yield _line("corpus", "stage", "calls", "prompt tokens", "reply tokens", "cost at most")
    total = Spending()
    for corpus, rows in corpora.items():
        for stage, needed in calls(plan, corpus, model, rows, memo):
            cost = f"{needed.money(price):,.2f}" if price else "no price"
            yield _line(corpus, stage, *(f"{amount:,}" for amount in needed.stored()), cost)
            total += needed
    cost = f"{total.money(price):,.2f}" if price else "no price"
    yield _line("all", "", *(f"{amount:,}" for amount in total.stored()), cost)
    spent = memo.spent
    yield f"  spent so far, by the memo: {spent.requests:,} requests, {spent.tokens:,} tokens" + (
        f", {spent.money(price):,.2f}" if price else ""
    )
    everything = total + spent
    amounts = {"requests": everything.requests, "tokens": everything.tokens, "money": everything.money(price)}
    for part, amount in amounts.items():
        limit = getattr(entry.budget, part)
        if limit is not None and amount > limit:
            yield f"  models.{model}.budget.{part} ({limit:,}) may end the study before it is done"
    limits = entry.limits
    minutes = [
        amount / rate
        for amount, rate in (
            (total.requests, limits.requests_per_minute),
            (total.tokens, limits.tokens_per_minute),
        )
        if rate is not None
    ]
    if minutes:
        yield f"  at least {max(minutes) / 60:.1f} hours by its limits"


def local_lines(plan: StudyPlan, model: str, corpora: dict[str, Rows], rates: Sequence[float]) -> Iterator[str]:
    """The part of one model that is opened; ``rates`` are 10^12 operations a second of a GPU and of the CPU."""
    count = parameters(plan, model)
    yield f"{model}: " + ("size not known (no 7b or 135m in its name)" if count is None else f"{count:.3g} parameters")

    def hours(per_parameter: float) -> list[str]:
        if count is None:
            return ["not known"] * len(rates)
        return [f"{per_parameter * count / (rate * 1e12) / 3600:,.3g}" for rate in rates]

    yield _line("corpus", "stage", "passes", "tokens", "GPU hours", "CPU hours")
    total = 0.0
    for corpus, rows in corpora.items():
        for stage, work in floating_point(plan, corpus, model, rows):
            total += work.per_parameter
            yield _line(corpus, stage, f"{work.passes:,}", f"{work.tokens:,}", *hours(work.per_parameter))
    yield _line("all", "", "", "", *hours(total))


def words_of(given: Sequence[str], corpora: Sequence[str]) -> dict[str, int]:
    """The words of a text by corpus, and of ``EACH`` other. Raises ``UserError`` for what is no such setting."""
    found = {EACH: 60}
    for setting in given:
        corpus, _, count = setting.rpartition("=")
        if not count.isdecimal() or int(count) < 1 or corpus not in (EACH, *corpora):
            raise UserError(f"--words: {setting!r} is neither a number nor CORPUS=NUMBER for a corpus of the study")
        found[corpus] = int(count)
    return found


def main(argv: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="rationale_eval estimate", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--rows", type=int, default=500, help="rows of a corpus whose number is not known")
    parser.add_argument("--words", nargs="+", default=[], help="words of a text that is not known: N, CORPUS=N (60)")
    parser.add_argument("--tflops", type=float, default=100.0, help="10^12 operations a second that a GPU keeps up")
    cores = os.cpu_count() or 1
    parser.add_argument(
        "--cpu-tflops",
        type=float,
        default=PER_CORE * cores,
        help="the same of the CPU in float32 (default: %(default)g)",
    )
    args = parser.parse_args(argv)
    if args.rows < 1 or args.tflops <= 0 or args.cpu_tflops <= 0:
        raise UserError("--rows, --tflops and --cpu-tflops must be positive")
    plan = merged(args.configfile, args.config)
    words = words_of(args.words, plan.study.corpora)
    corpora = {
        corpus: rows_of(plan, corpus, args.rows, words.get(corpus, words[EACH])) for corpus in plan.study.corpora
    }
    print(f"{plan.study.title}\n")
    for rows in corpora.values():
        print(rows.described)
    for model in plan.study.models:
        print()
        rates = (args.tflops, args.cpu_tflops)
        made = api_lines(plan, model, corpora) if model in plan.apis else local_lines(plan, model, corpora, rates)
        print("\n".join(made))
    notes = {"rows": args.rows, "words": words[EACH], "tflops": args.tflops, "cpu": args.cpu_tflops, "cores": cores}
    print("\n" + NOTES.format(**notes), end="")
