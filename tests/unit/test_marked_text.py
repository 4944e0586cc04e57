"""Marked texts: which of the asterisks are marks, and which the text's own."""

from __future__ import annotations

import random

import pytest
from rationale_eval.corpora.marks import asterisk_spans
from rationale_eval.corpora.rows import RowError


@pytest.mark.parametrize(
    ("text", "marked", "expected"),
    [
        ("a b", "a b", []),
        ("a b", "*a* b", ["a"]),
        ("a b", "*a**b*", None),
        ("ab cd", "*ab* *cd*", ["ab", "cd"]),
        ("ab cd", "*ab cd*", ["ab cd"]),
        ("a *b* c", "a *b* c", []),
        ("a *b* c", "a **b** c", ["*b*"]),
        ("2*3 is 6", "*2*3* is 6", ["2*3"]),
        ("a * b", "a *** b", ["*"]),
        ("a* b", "*a** b", ["a*"]),
        ("*a b", "**a* b", ["*a"]),
        ("ab", "*a**b*", ["a", "b"]),
        ("**", "**", []),
        ("", "", []),
    ],
)
def test_marks_are_told_from_the_asterisks_of_the_text(text, marked, expected):
    if expected is None:
        with pytest.raises(RowError, match="is not the text"):
            asterisk_spans(text, marked, "'why'")
    else:
        assert [text[start:end] for start, end in asterisk_spans(text, marked, "'why'")] == expected


def test_marks_put_into_random_texts_come_back():
    chance = random.Random(4)
    for _ in range(500):
        words = ["".join(chance.choices("ab*", k=chance.randint(1, 4))) for _ in range(chance.randint(1, 6))]
        chosen = [chance.random() < 0.4 for _ in words]
        text = " ".join(words)
        marked = " ".join(f"*{word}*" if mark else word for word, mark in zip(words, chosen, strict=True))
        spans = [text[start:end] for start, end in asterisk_spans(text, marked, "'why'")]
        assert spans == [word for word, mark in zip(words, chosen, strict=True) if mark]
