"""e-SNLI in the CSV files of its authors: premise and hypothesis, with the words that up to three people highlighted.

Camburu, Rocktäschel, Lukasiewicz & Blunsom (2018), "e-SNLI: Natural Language Inference with Natural Language
Explanations", NeurIPS. A row has ``pairID``, ``gold_label``, ``Sentence1`` (premise), ``Sentence2`` (hypothesis) and
for annotator N ``Sentence1_marked_N`` and ``Sentence2_marked_N``: the sentences, highlighted words between asterisks.
Annotators clicked on words between spaces, so punctuation is part of them; premises of neutral pairs were not to be
marked.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rationale_eval.corpora.aggregate import aggregate, tied
from rationale_eval.corpora.archive import open_members
from rationale_eval.corpora.instances import TIED, Instance, Word, whitespace_words
from rationale_eval.corpora.rows import RowError, csv_rows
from rationale_eval.errors import UserError

LABELS = ("entailment", "neutral", "contradiction")
FIELDS = {"premise": "Sentence1", "hypothesis": "Sentence2"}
NEEDED = ("pairID", "gold_label", *FIELDS.values())
MAX_ANNOTATORS = 3


def read(source: Path, spec: Mapping[str, Any], side: str, left_out: Counter[str]) -> Iterator[Instance]:
    """Yield the instances of one side ("train" or "test") in the order of the files.

    ``spec`` holds ``archive``, ``train``, ``test``, ``bad_rows`` and ``aggregation`` (see ``aggregate``). Counted in
    ``left_out``: ``no_label`` (annotators of SNLI did not agree, or none is given), ``no_highlights`` (test rows that
    nobody annotated; train rows stay without a rationale) and, if ``bad_rows`` is "leave_out", ``bad_row``.
    Raises ``UserError`` for a file that is no such CSV and, if ``bad_rows`` is "error", for a bad row.
    """
    needed = NEEDED if side == "train" else (*NEEDED, *_marked_columns(1))
    for where, stream in open_members(source, spec["archive"], spec[side]):
        annotators: list[int] | None = None
        for place, row in csv_rows(where, stream, needed):
            if annotators is None:
                annotators = _annotators(where, row)
            if row["gold_label"] in ("", "-"):
                left_out["no_label"] += 1
                continue
            try:
                instance = _instance(row, annotators, spec["aggregation"])
            except RowError as error:
                if spec["bad_rows"] == "error":
                    raise UserError(f"{place} (pairID {row['pairID']!r}): {error}") from None
                left_out["bad_row"] += 1
                continue
            if side == "test" and instance.rationale is None:
                left_out["no_highlights"] += 1
                continue
            yield instance


def highlighted(text: str, marked: str, words: tuple[Word, ...]) -> list[bool]:
    """For each of ``words`` of ``text``, as ``whitespace_words`` finds them: is any of it between asterisks?

    ``marked`` is ``text`` with pairs of asterisks added; if ``text`` has none itself, spacing may differ. Raises
    ``RowError`` if it is another text or has an asterisk too many.

    The places of the asterisks are compared, counted in the other characters: what ``marked`` has there and ``text``
    has not are marks, and every second one closes. An asterisk of the text goes with the word it is written on; one
    that stands alone is highlighted if a mark touches it or encloses it.
    """
    loose = "*" not in text
    plain, own = _without_asterisks(text, loose)
    shown, given = _without_asterisks(marked, loose)
    if plain != shown or own - given:
        raise RowError("is not the sentence with asterisks added")
    marks = sorted((given - own).elements())
    if len(marks) % 2:
        raise RowError("has an asterisk that opens a highlight and none that closes it")
    # The characters of ``plain`` in ``text``, and those of them that stand inside a pair of marks.
    kept = [index for index, char in enumerate(text) if char != "*" and not (loose and char.isspace())]
    lit = {index for start, end in zip(marks[::2], marks[1::2], strict=True) for index in kept[start:end]}

    def is_lit(word: Word) -> bool:
        if text[word.start : word.end].strip("*"):
            return any(index in lit for index in range(word.start, word.end))
        place = bisect_left(kept, word.start)
        return place in marks or bisect_left(marks, place) % 2 == 1

    return [is_lit(word) for word in words]


def _without_asterisks(text: str, loose: bool) -> tuple[str, Counter[int]]:
    """``text`` without asterisks and, if ``loose``, spaces; and how many asterisks stand before each character left."""
    if loose:
        text = "".join(text.split())
    places = Counter(match.start() - before for before, match in enumerate(re.finditer(r"\*", text)))
    return text.replace("*", ""), places


def _marked_columns(annotator: int) -> list[str]:
    return [f"{column}_marked_{annotator}" for column in FIELDS.values()]


def _annotators(where: str, row: Mapping[str, str]) -> list[int]:
    """The numbers of the annotators whose columns the file has."""
    found = []
    for number in range(1, MAX_ANNOTATORS + 1):
        missing = [column for column in _marked_columns(number) if column not in row]
        if len(missing) == 1:
            raise UserError(f"{where}: there is no {missing[0]!r}, though there is the one for the other sentence")
        if not missing:
            found.append(number)
    return found


def _instance(row: Mapping[str, str], annotators: list[int], how: Any) -> Instance:
    if not row["pairID"]:
        raise RowError("the pairID is empty")
    label = row["gold_label"]
    if label not in LABELS:
        raise RowError(f"the gold_label {label!r} is none of {', '.join(LABELS)}")
    fields = {name: row[column] for name, column in FIELDS.items()}
    words = whitespace_words(fields.values())
    for index, (name, column) in enumerate(FIELDS.items()):
        if all(word.field != index for word in words):
            raise RowError(f"the {name} ({column}) is empty")
    masks = [mask for number in annotators if (mask := _mask(row, number, words)) is not None]
    rationale = aggregate(masks, how) if masks else None
    notes = (TIED,) if how == "majority" and tied(masks) else ()
    group = _group(row["pairID"])
    return Instance(row["pairID"], label, fields, words, rationale, tuple(masks) or None, group=group, notes=notes)


def _group(pair: str) -> str | None:
    """The photograph that a pairID such as 2407214681.jpg#2r1n names, or the caption of one such as vg_len63r1n.

    None for a pairID of another form.
    """
    found = re.fullmatch(r"(.+?)(#\d+)?r\d+[a-z]", pair)
    return found and found[1]


def _mask(row: Mapping[str, str], annotator: int, words: tuple[Word, ...]) -> tuple[bool, ...] | None:
    """What one annotator highlighted; None if both marked sentences are empty, since then nobody did."""
    columns = _marked_columns(annotator)
    if not any(row[column].strip() for column in columns):
        return None
    mask: list[bool] = []
    for index, (name, column) in enumerate(zip(FIELDS.values(), columns, strict=True)):
        own = tuple(word for word in words if word.field == index)
        try:
            # One empty sentence of the two: nothing is highlighted in it.
            mask += highlighted(row[name], row[column], own) if row[column].strip() else [False] * len(own)
        except RowError as error:
            raise RowError(f"{column} {error}") from None
    return tuple(mask)
