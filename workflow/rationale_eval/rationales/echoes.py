"""Replies that give back what the question holds: its label, or the form of the answer. They name no word.

A question tells the model its label and shows the form of a list (``- ...``). A reply of nothing else says nothing
about the text, even where the text holds that very word or mark:

* **Label.** Each piece of the reply (between line ends, commas, semicolons), or each thing that it lists, is made of
  labels and their verbalisers alone, or of these in a frame: function words, names of the instance's fields, and nouns
  such as "answer" or "sentiment". Any other word makes the reply a list like others, labels included ("negative,
  dull"), and so does a passage of the text that is more than labels.
* **Form.** Dots, dashes, underscores, numbers that count the items, and words that hold the place of a word ("word",
  "[word 1]") where the text has no such word. They are never things listed, whatever stands beside them. An empty list
  (`[]`) is an answer, not a form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rationale_eval.corpora.instances import Instance
from rationale_eval.rationales.matching import Words, tokens
from rationale_eval.rationales.reply_syntax import HARD_SEPARATOR

LABEL_ONLY, FORM_ONLY = "label_only", "form_only"

# Around a label: what sentences such as "You classified the sentiment of this text as positive" are made of. The last
# line has the nouns of the packaged tasks.
_FRAME = frozenset(
    re.findall(
        r"\w+",
        """
        a an and are as be both by for has i in is it its my of or so sure that the this to was you
        answer category class classification classified decision expressed label overall predicted prediction
        word words sentence text
        note occupation person sentiment tray
        """,
    )
)
_PLACEHOLDER = re.compile(
    r"(?:(?:a|another|first|insert|next|second|single|the|third|your) )*(?:words?|phrases?|tokens?|keywords?)"
    r"(?: ?\d{1,3}| [a-z]| one| two| three| here)?"
)
_PIECES = re.compile(rf"\n|{HARD_SEPARATOR.pattern}")
_NUMBER = re.compile(r"\(?(\d{1,3})[.):]")
_MARKS = frozenset(".…_-–—*•·▪◦‣●○■□")
_PAIRS = frozenset({"[]", "()", "{}", "<>", "''", "‘’", "``"})


class Labels:
    """The labels of a task and their verbalisers, compared as ``matching.tokens``."""

    def __init__(self, names: Iterable[str]) -> None:
        # The longest first: a label may begin with another.
        self._phrases = sorted({tuple(tokens(name)) for name in names} - {()}, key=len, reverse=True)

    def count(self, text: str, frame: frozenset[str]) -> tuple[int, int] | None:
        """How many labels and how many words of ``frame`` make up ``text``; None if it has any other word."""
        found = tokens(text)
        labels = others = place = 0
        while place < len(found):
            phrase = next((one for one in self._phrases if tuple(found[place : place + len(one)]) == one), ())
            if not phrase and found[place] not in frame:
                return None
            labels, others = labels + bool(phrase), others + (not phrase)
            place += len(phrase) or 1
        return labels, others


NO_LABELS = Labels(())


class Echo:
    """What of a reply gives back the question about one instance."""

    def __init__(self, instance: Instance, words: Words, labels: Labels) -> None:
        self._words = words
        self._labels = labels
        self._frame = _FRAME.union(*map(tokens, instance.fields))

    def is_label(self, text: str) -> bool:
        """Whether ``text`` is a label, several, or a frame around one."""
        return bool((self._labels.count(text, self._frame) or (0, 0))[0])

    def has_own(self, text: str) -> bool:
        """Whether ``text`` has a word that is of no label and of no frame."""
        return self._labels.count(text, self._frame) is None

    def holds_place(self, text: str) -> bool:
        """Whether ``text`` stands where a word should: marks, or a placeholder that is not in the instance."""
        if is_marks(text):
            return True
        return bool(_PLACEHOLDER.fullmatch(" ".join(tokens(text)))) and not self._words.occurrences(text)

    def all_labels(self, pieces: Iterable[str]) -> bool:
        """Whether ``pieces`` are labels and frames alone, with at least one label.

        A passage of the instance that is more than labels is neither.
        """
        any_label = False
        for piece in pieces:
            counts = self._labels.count(piece, self._frame)
            if counts is None or (counts[1] and self._words.occurrences(piece)):
                return False
            any_label |= counts[0] > 0
        return any_label

    def outcome(self, text: str, listed: Sequence[str], places: bool) -> str | None:
        """``LABEL_ONLY``, ``FORM_ONLY``, or None for any other reply.

        ``listed`` holds the things that ``text`` lists, without those that hold the place of one; ``places`` says
        whether it has such.
        """
        if self.all_labels(_PIECES.split(text)) or self.all_labels(listed):
            return LABEL_ONLY
        return FORM_ONLY if (places and not listed) or is_form(text) else None


def is_marks(text: str) -> bool:
    """Whether ``text`` is made of dots, dashes, underscores and the like, which may stand in brackets or quotes.

    Each run is of one character, so that `-_-` and `:-)` are words.
    """
    runs = text.split()
    return bool(runs) and all(map(_is_mark, runs))


def _is_mark(run: str) -> bool:
    run = run.rstrip(":,;").strip('"“”')  # quotes are often left open
    while len(run) > 1 and run[0] + run[-1] in _PAIRS:
        run = run[1:-1]
    return len(set(run)) == 1 and run[0] in _MARKS


def is_form(text: str) -> bool:
    """Whether ``text`` is marks and the numbers of a list alone (`1. ...`); the first of these must be 1."""
    runs = text.split()
    numbers = [match for run in runs if (match := _NUMBER.fullmatch(run))]
    if numbers and int(numbers[0].group(1)) != 1:
        return False
    return bool(runs) and all(_NUMBER.fullmatch(run) or _is_mark(run) for run in runs)
