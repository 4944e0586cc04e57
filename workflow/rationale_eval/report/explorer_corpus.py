"""The texts of a corpus as the explorer holds them: fields, words and which of these are marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rationale_eval.corpora.instances import Instance
from rationale_eval.rationales.choices import gold_of
from rationale_eval.report.explorer_pack import counts, utf16_offsets

# Instances whose words and replies are unpacked together.
BLOCK = 256


def first_words(instances: Sequence[Instance]) -> np.ndarray:
    """Where the words of each instance begin among all words of the corpus, and the number of these at the end."""
    return np.cumsum([0, *(len(one.words) for one in instances)], dtype=np.uint32)


def corpus_values(instances: Sequence[Instance]) -> dict[str, Any]:
    """What the explorer needs of a corpus, for ``pack``.

    All words of the corpus stand in one row, each with its field and its offsets in UTF-16 units; ``marked`` and
    ``votes`` (how many annotators marked it) belong to these.
    """
    fields, starts, ends = [], [], []
    marked: list[bool] = []
    votes: list[int] = []
    for one in instances:
        offsets = [utf16_offsets(text) for text in one.fields.values()]
        for word in one.words:
            places = offsets[word.field]
            fields.append(word.field)
            starts.append(word.start if places is None else places[word.start])
            ends.append(word.end if places is None else places[word.end])
        marked.extend(gold_of(one))
        votes.extend(np.sum(one.annotators, axis=0).tolist() if one.annotators else [0] * len(one.words))
    return {
        "ids": [one.id for one in instances],
        "gold": [one.label for one in instances],
        "foils": [one.foil for one in instances] if any(one.foil for one in instances) else None,
        "names": [list(one.fields) for one in instances],
        "texts": [list(one.fields.values()) for one in instances],
        "annotators": counts([len(one.annotators or ()) for one in instances]),
        "first": first_words(instances),
        "field": counts(fields),
        "start": np.array(starts, dtype=np.uint32),
        "end": np.array(ends, dtype=np.uint32),
        "marked": np.packbits(np.array(marked, dtype=np.bool_), bitorder="little"),
        "votes": counts(votes),
    }
