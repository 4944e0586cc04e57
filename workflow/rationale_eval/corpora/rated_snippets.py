"""Sentences rated by people, with a lexicon whose words were rated by people: sentiment with a proxy rationale.

The format is that of Hutto & Gilbert (2014), "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social
Media Text", ICWSM: a snippet file with ``id <tab> mean rating <tab> text`` and a lexicon with ``word <tab> mean
rating <tab> standard deviation <tab> ratings``, all ratings from -4 (negative) to 4 (positive). Where a file holds the
sentences of articles or reviews, its ids are ``document_sentence``, as in 12_3, and the document is the group; ids that
are one number say nothing of documents.

The rationale is a *proxy*: the words whose own rating, given out of context by other people, agrees in sign with the
sentence's label and is strong enough. Nobody marked words in these sentences.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rationale_eval.corpora.archive import open_member
from rationale_eval.corpora.instances import MAX_ROW_CHARS, MAX_ROWS, Instance, whitespace_words
from rationale_eval.errors import UserError

PUNCTUATION = string.punctuation + "“”‘’„‚«»–—…¡¿"
NEGATIVE, POSITIVE = "negative", "positive"
OF_DOCUMENT = re.compile(r"(\d+)_\d+")
MAX_LEXICON_CHARS = 1 << 26  # of a lexicon's words, each with WORD_CHARS more for what it takes in memory
WORD_CHARS = 64


def read(source: Path, spec: Mapping[str, Any], side: str, left_out: Counter[str]) -> Iterator[Instance]:
    """Yield an instance for every usable row: the source does not say which rows are for training and which for tests.

    ``spec`` holds ``archive``, ``snippets``, ``lexicon``, ``lexicon_encoding``, ``min_rating``, ``min_word_rating``,
    ``min_words`` and ``max_words``. Left out and counted, over the whole file: ratings nearer to zero than
    ``min_rating``, texts outside the length limits and, for the ``side`` "test", texts without a marked word.
    Raises ``UserError`` naming file and line of a malformed row, of one with more than ``MAX_ROW_CHARS`` characters and
    of more than ``MAX_ROWS``, and for a lexicon of more than ``MAX_LEXICON_CHARS``.
    """
    lexicon = _lexicon(_lines(source, spec, "lexicon", spec["lexicon_encoding"]), f"{source}: {spec['lexicon']}")
    where = f"{source}: {spec['snippets']}"
    seen: set[bytes] = set()
    for number, line in _lines(source, spec, "snippets", "utf-8-sig"):
        parts = line.split("\t", 2)
        if len(parts) != 3:
            raise UserError(f"{where}: line {number} has {len(parts)} tab-separated parts, not 3 (id, rating, text)")
        identifier, text = parts[0].strip(), parts[2].strip()
        rating = _rating(parts[1], f"{where}: line {number}")
        # Ids may be long, a part of a digest is not.
        digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).digest()[:16]
        if digest in seen:
            raise UserError(f"{where}: line {number}: the id {identifier[:200]!r} was used before")
        seen.add(digest)
        if len(seen) > MAX_ROWS:
            raise UserError(f"{where}: line {number}: there are more than {MAX_ROWS:,} rows, the limit of a corpus")
        words = whitespace_words([text])
        if abs(rating) < spec["min_rating"]:
            left_out["rated_near_zero"] += 1
            continue
        if not spec["min_words"] <= len(words) <= spec["max_words"]:
            left_out["length"] += 1
            continue
        sign = math.copysign(1.0, rating)
        rationale = tuple(
            sign * word_rating(text[word.start : word.end], lexicon) >= spec["min_word_rating"] for word in words
        )
        if side == "test" and not any(rationale):
            left_out["no_marked_word"] += 1
            continue
        label, document = POSITIVE if sign > 0 else NEGATIVE, OF_DOCUMENT.fullmatch(identifier)
        yield Instance(identifier, label, {"text": text}, words, rationale, group=document and document[1])


def word_rating(word: str, lexicon: Mapping[str, float]) -> float:
    """The rating of ``word``, 0.0 if it has none.

    Looked up in lower case, first as written (emoticons are lexicon entries), then without the punctuation around it.
    """
    for form in (word, word.lower(), word.lower().strip(PUNCTUATION)):
        if form in lexicon:
            return lexicon[form]
    return 0.0


def _lines(source: Path, spec: Mapping[str, Any], key: str, encoding: str) -> Iterator[tuple[int, str]]:
    """Number and text of every line that is not empty."""
    where = f"{source}: {spec[key]}"
    with open_member(source, spec["archive"], spec[key]) as stream:
        # Only \n ends a row here; str.splitlines would also split at the unusual separators that texts contain.
        text = io.TextIOWrapper(stream, encoding, newline="\n")
        number = 0
        while True:
            number += 1
            try:
                line = text.readline(MAX_ROW_CHARS + 1)
            except UnicodeDecodeError as error:
                raise UserError(f"{where} is not {encoding}: at line {number} or soon after it, {error}") from None
            if len(line) > MAX_ROW_CHARS:
                raise UserError(f"{where}: line {number} is longer than {MAX_ROW_CHARS:,} characters")
            if not line:
                return
            if line.strip():
                yield number, line.rstrip("\n").rstrip("\r")


def _rating(text: str, where: str) -> float:
    try:
        rating = float(text)
    except ValueError:
        raise UserError(f"{where}: the rating {text[:200]!r} is not a number") from None
    if not -4 <= rating <= 4:
        raise UserError(f"{where}: the rating {text[:200]!r} is not between -4 and 4")
    return rating


def _lexicon(lines: Iterator[tuple[int, str]], where: str) -> dict[str, float]:
    lexicon = {}
    chars = 0
    for number, line in lines:
        parts = line.split("\t", 2)
        if len(parts) < 2:
            raise UserError(f"{where}: line {number} has no tab between word and rating")
        lexicon[parts[0]] = _rating(parts[1], f"{where}: line {number}")
        chars += len(parts[0]) + WORD_CHARS
        if chars > MAX_LEXICON_CHARS:
            raise UserError(f"{where}: line {number}: the lexicon is larger than a million words or as much text")
    return lexicon
