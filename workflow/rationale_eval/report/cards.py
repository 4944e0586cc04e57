"""The corpora's cards as the page shows them: every text is made here, the template only lays it out and escapes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationale_eval.corpora.instances import SPAN_IN_WORD, TIED
from rationale_eval.models.task import Task
from rationale_eval.report.layout import read_card
from rationale_eval.report.marked import MARKED
from rationale_eval.report.record import Record
from rationale_eval.report.wording import MISSING, n_text, number, percent, terms

Card = Mapping[str, Any]

# What a note on a row says (see ``Instance.notes``).
NOTES = {
    SPAN_IN_WORD: "a marked span begins or ends inside a word. Where these are many, offsets may have been counted in "
    "other units (see `rationale.offsets`)",
    TIED: "as many annotators marked some word as did not; the majority leaves it unmarked",
}


@dataclass(frozen=True)
class LabelRow:
    """One label: its rows on either side, the answer that stands for it and that answer's tokens, model by model."""

    label: str
    train: str
    test: str
    answer: str
    tokens: list[str]


@dataclass(frozen=True)
class CorpusCard:
    """What the page says of one corpus.

    ``marked_by`` says who marked its words (a key of ``MARKED``), ``left_out`` which rows were never test rows.
    ``facts`` are pairs of a term and its text. ``terms`` is the note on licence and privacy that stands wherever texts
    are shown, ``ceiling`` what stands beside the corpus's alignment, None where it is not known.
    """

    name: str
    marked_by: str
    left_out: str
    facts: list[tuple[str, str]]
    models: list[str]
    labels: list[LabelRow]
    caveats: list[str]
    annotation: str
    terms: str
    ceiling: str | None
    instruction: str


def corpus_card(name: str, results: Path, task: Task, made: Iterable[Record]) -> CorpusCard:
    """The card of the corpus ``name``, with what the tables of the study, ``made``, say of its answers.

    Raises ``UserError`` where the corpus has no card.
    """
    card = read_card(results / "corpora" / name)
    answers = verbalisers(name, made)
    instruction, _ = task.message({field: f"{{{field}}}" for field in task.fields})
    return CorpusCard(
        name=name,
        marked_by=card["marked_by"],
        left_out=_never_tests(card["left_out"]),
        facts=facts(card),
        models=list(answers),
        labels=label_rows(card, task.verbalisers, answers),
        caveats=[*(card.get("caveats") or []), *_sharing_caveat(card)],
        annotation=card.get("annotation") or "",
        terms=terms(card),
        ceiling=ceiling(card),
        instruction=instruction,
    )


def verbalisers(corpus: str, made: Iterable[Record]) -> dict[str, Card]:
    """By model and label the verbaliser and its number of tokens, of the models that recorded them."""
    return {
        record.cell.model: record.made["verbaliser_tokens"]
        for record in made
        if record.cell.corpus == corpus and record.name == "predictions" and "verbaliser_tokens" in record.made
    }


def label_rows(card: Card, answers: Mapping[str, str], recorded: Mapping[str, Card]) -> list[LabelRow]:
    """A row for each label of the task (``answers``: its verbalisers) or of a row.

    A verbaliser that a model ``recorded`` is the one that it was asked with.
    """
    found = []
    for label in dict.fromkeys([*answers, *card["test_labels"], *card["train_labels"]]):
        mine = [of_model.get(label) for of_model in recorded.values()]
        found.append(
            LabelRow(
                label=label,
                train=_share(card["train_labels"].get(label, 0), card["train_rows"]),
                test=_share(card["test_labels"].get(label, 0), card["test_rows"]),
                answer=next((entry["text"] for entry in mine if entry), answers.get(label, MISSING)),
                tokens=[str(entry["tokens"]) if entry else MISSING for entry in mine],
            )
        )
    return found


def _share(count: int, rows: int) -> str:
    return f"{count} ({percent(count / rows if rows else None, rows)})"


def facts(card: Card) -> list[tuple[str, str]]:
    """The terms of the card with their texts; one that the configuration left empty is not there."""
    unknown = "The corpus card does not say how the words were marked."
    found = [
        ("What it is", card.get("description")),
        (MARKED[card["marked_by"]].rationale, card.get("annotation") or unknown),
        ("Rows", _rows(card)),
        ("Left out", _left_out(card)),
        ("To be checked", _notes(card)),
        ("Documents", sharing(card)),
        ("Words", _words(card)),
        ("Marked", _marked(card)),
        ("Solved examples", _examples(card)),
        *_annotators(card),
        ("Licence", card.get("licence")),
        ("Privacy", card.get("privacy")),
        ("Source", _source(card)),
        ("Citation", card.get("citation")),
    ]
    return [(term, text) for term, text in found if text]


def _rows(card: Card) -> str:
    text = f"{card['train_rows']} train and {card['test_rows']} test rows"
    if card["train_annotated"] < card["train_rows"]:
        text += f"; {card['train_annotated']} of the train rows have marks"
    return text


def sharing(card: Card) -> str | None:
    """How many test rows are from a document that train rows are from too; None for made-up sentences.

    A document is whatever the reader of the format takes for the group of a row, such as an article or a photograph.
    """
    if card.get("format") == "planted":
        return None
    shared, known, rows = card["test_rows_sharing"], card["test_rows_grouped"], card["test_rows"]
    if shared is None:
        return "the source does not say which rows are from the same document, so train and test rows may share some"
    of = f"the {rows} test rows" if known == rows else f"the {known} test rows (of {rows}) whose document is known"
    return f"{shared or 'none'} of {of} share{'s' if shared < 2 else ''} a document with train rows"


def _sharing_caveat(card: Card) -> list[str]:
    """The same as a caveat, unless it is known that no row does."""
    text = sharing(card)
    if text is None or (card["test_rows_sharing"] == 0 and card["test_rows_grouped"] == card["test_rows"]):
        return []
    return [f"{text[0].upper()}{text[1:]}: accuracy after fine-tuning may be too high."]


def _left_out(card: Card) -> str:
    sides = [
        f"{side.replace('_', ' the ')}: {_reasons(reasons)}" for side, reasons in card["left_out"].items() if reasons
    ]
    return "; ".join(sides) or "no row"


def _never_tests(left_out: Mapping[str, Mapping[str, int]]) -> str:
    """The rows that were left out of the test side, in words, and those of files that were split afterwards."""
    parts = [_reasons(left_out.get("test", {}))]
    if before := _reasons(left_out.get("before_split", {})):
        parts.append(f"before the split into train and test: {before}")
    return "; ".join(filter(None, parts)) or "none"


def _notes(card: Card) -> str | None:
    """What the reader noticed in test rows, in how many of them; notes of plugins by their names."""
    noted = card.get("notes", {}).get("test", {})
    found = []
    for name, count in sorted(noted.items()):
        rows = f"{count} of {card['test_rows']} test rows"
        found.append(f"{rows}: {NOTES.get(name, name.replace('_', ' '))}")
    return "; ".join(found) or None


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in sorted(counts.items()))


def _words(card: Card) -> str:
    return (
        f"{number(card['words_per_row'])} per test row (median {card['words_median']:g}, at most {card['words_most']})"
    )


def _marked(card: Card) -> str:
    share = percent(card["share_marked"], card["test_rows"])
    text = f"{number(card['marked_per_row'])} words per test row, {share} of all"
    if card["no_gold"]:
        text += f"; rows without any, which have no alignment (no gold): {card['no_gold']}"
    return text


def _examples(card: Card) -> str | None:
    """Of which labels solved examples of explanations can be, where they cannot be of all."""
    marked = card.get("train_marked", {})
    without = [label for label, count in marked.items() if not count]
    if not without or len(without) == len(marked):
        return None
    names = ", ".join(f"“{label}”" for label in without)
    return f"of explanations, where a prompt shows any: none is of {names}, of which no train row has a marked word"


def _annotators(card: Card) -> list[tuple[str, str]]:
    known = card["annotators"]
    if known is None:
        return [("Annotators", "the source has one set of marks per row: agreement and ceiling are not known")]
    span = known["fewest"] if known["fewest"] == known["most"] else f"{known['fewest']} to {known['most']}"
    text = f"{span} per row"
    if known["rows"] < card["test_rows"]:
        text += f", in {known['rows']} of {card['test_rows']} test rows"
    if known["most"] < 2:
        return [("Annotators", f"{text}: agreement and ceiling are not known")]
    agreement = (
        f"Krippendorff’s alpha {number(known['alpha'])} over words (0 is chance, 1 full agreement); "
        f"F1 of two annotators {number(known['pairwise_f1'])} ({n_text(known['pairwise_f1_rows'])})"
    )
    return [("Annotators", text), ("Agreement", agreement), ("Ceiling", ceiling(card) or "not defined")]


def ceiling(card: Card) -> str | None:
    """The leave-one-annotator-out F1 in words; None where no row has two annotators, or no two of them ever agree."""
    known = card["annotators"]
    if known is None or known["leave_one_out_f1"] is None:
        return None
    text = (
        f"leave-one-annotator-out F1 {number(known['leave_one_out_f1'])} ({n_text(known['leave_one_out_f1_rows'])}), "
        "one annotator against the majority of the others"
    )
    if known["f1_with_rationale"] is not None:
        text += f"; {number(known['f1_with_rationale'])} against the rationale, in which that annotator has a say"
    return text


def _source(card: Card) -> str:
    # The name alone: the folders above it say more of a machine and its user than of the corpus.
    files = [f"{Path(entry['path']).name}, SHA-256 {entry['sha256']}" for entry in card["sources"]]
    text = "; ".join(files) or "a folder; no checksum was recorded"
    return f"{text}; read as {card['format']}" if card.get("format") else text
