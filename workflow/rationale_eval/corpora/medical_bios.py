"""MedicalBios as on the hub (coastalcph/medical-bios): short biographies with the person's medical occupation.

Eberle, Chalkidis, Cabello & Brandl (2023), "Rather a Nurse than a Physician - Contrastive Explanations under
Investigation", EMNLP. Train rows come from ``standard`` (``text``, ``label``), test rows from ``rationales``: also
``words``, 0/1 masks over them by majority (``rationale``: why this occupation; ``contrastive_rationale``: why this one
rather than the ``foil``) and, in ``annotations``, one mask per annotator of the first question. The word that names the
occupation was taken out of the texts.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from rationale_eval.corpora.archive import open_members
from rationale_eval.corpora.instances import Instance, Word, whitespace_words
from rationale_eval.corpora.rows import RowError, rows
from rationale_eval.errors import UserError

LABELS = ("psychologist", "surgeon", "nurse", "dentist", "physician")
# The masks of a setting; versions of the data set differ in the plural.
MASKS = {
    "standard": ("rationale", "rationales"),
    "contrastive": ("contrastive_rationale", "contrastive_rationales"),
}
QUOTES = str.maketrans("“”„‟‘’‚‛`´", '"' * 4 + "'" * 6)


def read(source: Path, spec: Mapping[str, Any], side: str, left_out: Counter[str]) -> Iterator[Instance]:
    """Yield the instances of one side ("train" or "test") in the order of the files (JSON lines or Parquet).

    ``spec`` holds ``archive``, ``train``, ``test``, ``bad_rows`` and ``setting``: "standard", or "contrastive", whose
    instances have a foil and no annotators' masks (those answer the other question). The aggregated mask is taken as it
    is. Rows have no ids: it is the file's name with a digest of the text.
    Counted in ``left_out``: ``no_rationale`` (test rows without a mask) and, if ``bad_rows`` is "leave_out",
    ``bad_row``. Raises ``UserError`` for a file without the columns and, if ``bad_rows`` is "error", for a bad row: one
    whose masks are longer or shorter than its words, whose words are not its text, or with an unknown label or foil.
    """
    for where, stream in open_members(source, spec["archive"], spec[side]):
        stem = PurePosixPath(where.rpartition(" -> ")[2]).name.partition(".")[0]
        for place, row in rows(where, stream, ("text", "label") if side == "train" else ("text", "label", "words")):
            try:
                found = _train(row, stem) if side == "train" else _test(row, stem, spec["setting"], place)
            except RowError as error:
                if spec["bad_rows"] == "error":
                    raise UserError(f"{place}: {error}") from None
                left_out["bad_row"] += 1
                continue
            if found is None:
                left_out["no_rationale"] += 1
                continue
            yield found


def locate(text: str, words: Sequence[str]) -> tuple[Word, ...]:
    """The places of ``words``, which are all of ``text`` in order but for the spaces between them.

    Quotation marks and spaces may be other characters of the same kind than in the text, and letters with accents may
    be composed differently. Raises ``RowError`` naming the first word that does not continue the text.
    """
    found = []
    place = 0
    for number, word in enumerate(words, start=1):
        start = _next_solid(text, place)
        end = _end(text, start, word)
        if end is None:
            raise RowError(f"word {number}, {word!r}, does not go on with the text at {text[start : start + 20]!r}")
        found.append(Word(0, start, end))
        place = end
    rest = _next_solid(text, place)
    if rest < len(text):
        raise RowError(f"the text goes on after the last word: {text[rest : rest + 20]!r}")
    return tuple(found)


def _next_solid(text: str, place: int) -> int:
    """The first place from ``place`` on that is no space; the length of ``text`` if there is none."""
    while place < len(text) and text[place].isspace():
        place += 1
    return place


def _end(text: str, start: int, word: str) -> int | None:
    """Where ``word`` ends in ``text`` if it stands at ``start``; None if it does not or if that is ambiguous."""
    if text.startswith(word, start):
        return start + len(word)
    wanted = _plain(word)
    furthest = min(len(text), start + 4 * len(word))  # decomposed letters are longer, but not by more than this
    ends = [end for end in range(start + 1, furthest + 1) if _plain(text[start:end]) == wanted]
    return ends[0] if len(ends) == 1 else None


def _plain(text: str) -> str:
    # Also turns the many kinds of space into the one of ASCII.
    return unicodedata.normalize("NFKC", text.translate(QUOTES))


def _train(row: Mapping[str, Any], stem: str) -> Instance:
    text = _text(row)
    label = _label(row["label"], "label")
    return Instance(_identifier(text, stem), label, {"text": text}, whitespace_words([text]), None)


def _test(row: Mapping[str, Any], stem: str, setting: str, place: str) -> Instance | None:
    """The instance of an annotated row; None if it has no mask."""
    column = next((name for name in MASKS[setting] if name in row), None)
    if column is None:
        raise UserError(f"{place}: there is no {MASKS[setting][0]!r}, the mask of the {setting} setting")
    if row[column] is None:
        return None
    text = _text(row)
    label = _label(row["label"], "label")
    words = row["words"]
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise RowError("`words` is not a list of strings")
    rationale = _mask(row[column], words, column)
    foil = annotators = None
    if setting == "contrastive":
        foil = _label(row.get("foil"), "foil")
        if foil == label:
            raise RowError(f"the foil is the label itself, {label!r}")
    else:
        masks = row.get("annotations") or []
        if not isinstance(masks, list):
            raise RowError("`annotations` is not a list of masks")
        annotators = tuple(_mask(mask, words, f"annotations[{index}]") for index, mask in enumerate(masks)) or None
    # A word of nothing but spaces, which some tokenisers make, is none: nothing in it could be a reason.
    places = locate(text, [bare for word in words if (bare := word.strip())])
    return Instance(_identifier(text, stem), label, {"text": text}, places, rationale, annotators, foil)


def _text(row: Mapping[str, Any]) -> str:
    text = row["text"]
    if not isinstance(text, str) or not text.strip():
        raise RowError("`text` is empty or no string")
    return text


def _identifier(text: str, stem: str) -> str:
    return f"{stem}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _label(value: Any, column: str) -> str:
    """The name of a label given as its number or its name."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(LABELS):
        return LABELS[value]
    if value in LABELS:
        return str(value)
    names = ", ".join(f"{number} {name}" for number, name in enumerate(LABELS))
    raise RowError(f"`{column}` {value!r} is none of {names}")


def _mask(values: Any, words: Sequence[str], column: str) -> tuple[bool, ...]:
    """A 0/1 mask over ``words``, without its values for words of spaces."""
    if not isinstance(values, list) or not all(value in (0, 1) for value in values):
        raise RowError(f"`{column}` is not a list of 0 and 1")
    if len(values) != len(words):
        raise RowError(f"`{column}` has {len(values)} values for {len(words)} words")
    return tuple(bool(value) for value, word in zip(values, words, strict=True) if word.strip())
