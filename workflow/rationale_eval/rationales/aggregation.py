"""From tokens to words.

Tokens are tied to words by character offsets. A token that covers several words (`'t` of "don't" when the words are
`do` and `n't`) gives each of them its score under max and mean, and a share by characters under sum.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from rationale_eval.corpora.instances import Word
from rationale_eval.errors import UserError

AGGREGATIONS = ("max", "mean", "sum")


def words_from_tokens(
    words: Sequence[Word],
    places: Sequence[tuple[int, int, int]],
    scores: Sequence[float],
    aggregation: str,
    identifier: str,
) -> list[float]:
    """One score per word from the scores of tokens at ``places`` (field, start, end).

    Raises ``UserError`` naming the instance where a word is not covered by tokens from its first to its last
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
    for word, mine in zip(words, overlaps, strict=True):
        reached = word.start
        for index, _ in mine:
            _, start, end = places[index]
            if start > reached:
                break
            reached = max(reached, end)
        if reached < word.end:
            raise UserError(
                f"instance {identifier!r}: characters {word.start} to {word.end} of field {word.field} are not "
                f"covered by the model's tokens, so the word there has no score"
            )
        values = [scores[index] for index, _ in mine]
        if aggregation == "max":
            found.append(max(values))
        elif aggregation == "mean":
            found.append(float(np.mean(values)))
        else:
            found.append(sum(scores[index] * inside / sizes[index] for index, inside in mine))
    return found
