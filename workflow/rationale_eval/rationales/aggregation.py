"""From tokens to words.

Tokens are tied to words by character offsets. A token that covers several words (`'t` of "don't" when the words are
`do` and `n't`) gives each of them its score under max and mean, and a share by characters under sum.

The full stop of a text collects attention, and gives it to the word that it is written on: tokens that are punctuation
alone can be left out.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from rationale_eval.corpora.instances import Word
from rationale_eval.errors import UserError

AGGREGATIONS = ("max", "mean", "sum")


class NotCoveredError(UserError):
    """A word has no token, or not for all of its characters."""


def words_from_tokens(
    words: Sequence[Word],
    places: Sequence[tuple[int, int, int]],
    scores: Sequence[float],
    aggregation: str,
    identifier: str,
    texts: Sequence[str] | None = None,
) -> list[float]:
    """One score per word from the scores of tokens at ``places`` (field, start, end).

    Where the ``texts`` of the fields are given, tokens that are punctuation alone inside a word (``is_punctuation``) do
    not count for it if it has others: neither for the maximum nor for the mean, and under sum their share is lost.

    Raises ``NotCoveredError`` naming the instance where a word is not covered by tokens from its first to its last
    non-space character (a truncated prompt, or a tokenizer that drops characters).
    """
    # Characters of words alone: the space that many tokens begin with takes no share of their score.
    sizes = [0] * len(places)
    overlaps: list[list[tuple[int, int]]] = []
    nearby: dict[int, list[int]] = {}  # tokens by field, in the order of their starts
    for index, (field, _, _) in enumerate(places):
        nearby.setdefault(field, []).append(index)
    for tokens in nearby.values():
        tokens.sort(key=lambda index: places[index][1])
    longest = max((end - start for _, start, end in places), default=0)
    starts = {field: [places[index][1] for index in tokens] for field, tokens in nearby.items()}
    for word in words:
        tokens = nearby.get(word.field, [])
        # No token that starts further ahead than the longest one is long can reach the word.
        first = bisect_left(starts.get(word.field, []), word.start - longest)
        mine = []
        for index in tokens[first:]:
            _, start, end = places[index]
            if start >= word.end:
                break
            if (inside := min(end, word.end) - max(start, word.start)) > 0:
                mine.append((index, inside))
                sizes[index] += inside
        overlaps.append(mine)
    found = []
    for word, covering in zip(words, overlaps, strict=True):
        reached = word.start
        for index, _ in covering:
            _, start, end = places[index]
            if start > reached:
                break
            reached = max(reached, end)
        if reached < word.end:
            raise NotCoveredError(
                f"instance {identifier!r}: characters {word.start} to {word.end} of field {word.field} are not "
                f"covered by the model's tokens, so the word there has no score"
            )
        mine = covering if texts is None else _without_punctuation(word, covering, places, texts[word.field])
        values = [scores[index] for index, _ in mine]
        if aggregation == "max":
            found.append(max(values))
        elif aggregation == "mean":
            found.append(float(np.mean(values)))
        else:
            found.append(sum(scores[index] * inside / sizes[index] for index, inside in mine))
    return found


def is_punctuation(text: str) -> bool:
    """Whether all characters of ``text`` but spaces are of Unicode's categories P; symbols (S) are not punctuation.

    A currency or plus sign is read out as a word is, and emoji are symbols too.
    """
    return all(character.isspace() or unicodedata.category(character).startswith("P") for character in text)


def _without_punctuation(
    word: Word, covering: list[tuple[int, int]], places: Sequence[tuple[int, int, int]], text: str
) -> list[tuple[int, int]]:
    """The tokens of ``word`` that are more than punctuation inside it; all of them if none is."""
    kept = []
    for index, inside in covering:
        _, start, end = places[index]
        if not is_punctuation(text[max(start, word.start) : min(end, word.end)]):
            kept.append((index, inside))
    return kept or covering
