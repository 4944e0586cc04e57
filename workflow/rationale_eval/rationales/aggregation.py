"""From tokens to words.

Tokens are tied to words by character offsets. A token that covers several words (`'t` of "don't" when the words are
`do` and `n't`) gives each of them its score under max and mean, and a share by characters under sum.
"""

from __future__ import annotations

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
    sizes = [
        sum(max(0, min(end, word.end) - max(start, word.start)) for word in words if word.field == field)
        for field, start, end in places
    ]
    found = []
    for word in words:
        shares = [
            (min(end, word.end) - max(start, word.start), size, score)
            for (field, start, end), size, score in zip(places, sizes, scores, strict=True)
            if field == word.field and start < word.end and end > word.start
        ]
        covered = {
            character
            for field, start, end in places
            if field == word.field
            for character in range(max(start, word.start), min(end, word.end))
        }
        if len(covered) < word.end - word.start:
            raise UserError(
                f"instance {identifier!r}: characters {word.start} to {word.end} of field {word.field} are not "
                f"covered by the model's tokens, so the word there has no score"
            )
        if aggregation == "max":
            found.append(max(score for _, _, score in shares))
        elif aggregation == "mean":
            found.append(float(np.mean([score for _, _, score in shares])))
        else:
            found.append(sum(score * inside / length for inside, length, score in shares))
    return found
