"""Reading a model's reply to "which words made you decide?": from free text to words of the instance.

The first of these rules that gives items wins:

1. A reply (or its text behind a colon) that is a passage of the instance: that passage.
2. JSON, strict or not (single quotes, trailing commas, cut off): the strings of the first array or object; of objects
   the values, and only those under a key such as `word` where there is one, or the keys if all are passages.
3. Lines with a bullet, number or letter in front, or one line with `1. … 2. …`: each a list item.
4. Quoted, emphasised or `code` strings within prose, unless these are labels at the head of what is listed.
5. Otherwise each line, or sentence of it, by itself: a comma list of short pieces is a list; a line of up to three
   words is an item; a passage of the instance counts, and so does a sentence that has words of the instance only. Any
   other sentence lists nothing. Neither does a refusal.

A list item is, in this order: a passage of the instance; quoted strings at its beginning; the part before an
explanation (`great: it shows`, `great - strong`, `great (positive)`), or behind a label (`word: great`); quoted
strings anywhere in it; pieces between commas or `and`. A piece that is no passage is taken word by word if at least
half of its words are in the instance; otherwise, and as to the other words, it is hallucinated. What stands only in a
field without candidate words (the claim in FEVER) selects nothing, but is not hallucinated: the model did read it.

What stands in a thought (`<think>…</think>`) is no answer; a reply that ends within one names nothing.
What only gives back the label or the form of the question names nothing: see ``echoes``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rationale_eval.corpora.instances import Instance
from rationale_eval.rationales.echoes import FORM_ONLY, LABEL_ONLY, NO_LABELS, Echo, Labels, is_form, is_marks
from rationale_eval.rationales.matching import Selection, Words, letters, normalised, with_all_fields
from rationale_eval.rationales.reply_syntax import (
    EDGES,
    HARD_SEPARATOR,
    bullets,
    cleaned,
    json_strings,
    leading_quotations,
    quotations,
)
from rationale_eval.thoughts import answer

OK, PARTLY, NOTHING, REFUSAL, EMPTY, TRUNCATED = (
    "ok",
    "partly_matched",
    "nothing_matched",
    "refusal",
    "empty",
    "truncated",
)
OUTCOMES = (OK, PARTLY, NOTHING, LABEL_ONLY, FORM_ONLY, REFUSAL, EMPTY, TRUNCATED)

SHORT = 3  # words of a line, or of a piece between commas, that is taken for an item and not for a sentence
_OPENING = 300  # characters at the beginning of a reply in which a refusal is looked for

_REFUSAL = re.compile(
    r"\bi(?:['’]m| am) sorry\b|\bmy apologies\b|\bi apologi[sz]e\b|\bas an ai\b|\bas a language model\b"
    r"|\bi (?:cannot|can['’]?t|can not|won['’]?t|will not|could not|couldn['’]t)\b|\b(?:unable|not able) to\b",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"\s*(?:sure(?: thing)?|certainly|of course|okay|ok|absolutely|here you go)[,.!:]\s*", re.IGNORECASE
)
_LABELS = re.compile(
    r"""(?:[ *_"]*+(?:[^\W\d_]+[ ])?(?:words?|phrases?|tokens?|keywords?)(?:[ ]\d+)?[*_"]*[ ]?[:：][*_]*+[ ]?)+""",
    re.IGNORECASE,
)
_EXPLAINED = re.compile(r"\s+(?:[-–—]+|[-=]+>|[→⇒=])\s+|\s*\(|\s+because\b|\s*(?<![–—])[–—]++\s+")
_COLON = re.compile(r" ?[:：]\s+|[:：](?=\s|[\"'“‘*`]|$)|：")
_SEPARATOR = re.compile(
    r"\s*(?:,(?!\d)|(?<!\d),|[;，、；|•]|\s/\s)\s*(?:and\s+|&\s+|or\s+)?|\s+(?:and|&)\s+", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+")
_INTRODUCTION = re.compile(r".*\bwords?\b[^.:]{0,200}?\b(?:are|were|is|was|include|including)\b:?\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Parsed:
    """What a reply lists.

    ``order`` holds indices into the instance's words in the order of first mention. ``mentioned`` counts the items of
    the reply, ``hallucinated`` holds (normalised) each item, or the part of it, that is in no field of the instance.
    ``copied`` is true when all words are selected.

    ``outcome``: ``empty`` (no text behind the thoughts), ``refusal`` (nothing matched, and words that refuse),
    ``label_only`` and ``form_only`` (see ``echoes``; cut off or not, such a reply has no items), ``truncated`` (cut off
    within a thought, which names nothing, or by the token limit: what stands before is parsed, a last item that was cut
    counts only if it matches as it stands), ``ok`` (every item matched), ``partly_matched``, ``nothing_matched``.
    """

    outcome: str
    order: tuple[int, ...]
    mentioned: int
    hallucinated: tuple[str, ...]
    copied: bool


@dataclass(frozen=True)
class Item:
    """A listed item; ``strict`` where it comes from prose, so that matching some of its words is not enough."""

    text: str
    strict: bool = False


def parse_reply(reply: str, instance: Instance, finished: bool, labels: Labels = NO_LABELS) -> Parsed:
    """Read ``reply``; ``finished`` is False where generation was cut off by the token limit.

    ``labels`` are those of the task that the question is about: a reply that gives back nothing else names nothing.
    """
    said = answer(reply)
    if said is None:
        return Parsed(TRUNCATED, (), 0, (), False)
    text = cleaned(said)
    if not text.strip():
        return Parsed(EMPTY, (), 0, (), False)
    words = Words(instance)
    echo = Echo(instance, words, labels)
    reader = _Reader(words, echo, finished)
    items = reader.items(text)
    if not finished and items and text.endswith(items[-1].text) and not words.occurrences(items[-1].text):
        items.pop()
    echoed = echo.outcome(text, [item.text for item in items], reader.places)
    if echoed:
        items = []
    shown = Words(with_all_fields(instance))
    selection = Selection(words)
    hallucinated, unmatched = [], 0
    for item in items:
        if select(item, words, selection):
            unmatched += 1
            if missing := select(item, shown, Selection(shown)):
                hallucinated.append(missing)
    outcome = outcome_of(text, echoed, finished, bool(selection.order), unmatched)
    covered = bool(selection.order) and selection.covers_all()
    return Parsed(outcome, tuple(selection.order), len(items), tuple(hallucinated), covered)


def outcome_of(text: str, echoed: str | None, finished: bool, named: bool, unmatched: int) -> str:
    """How a reply was read, see ``Parsed``.

    ``echoed`` is as in ``Echo.outcome``, ``named`` whether it names a word of the instance, ``unmatched`` the number of
    listed things that are not in it.
    """
    if not named and refuses(text):
        return REFUSAL
    if echoed:
        return echoed
    if not finished:
        return TRUNCATED
    if not named:
        return NOTHING
    return PARTLY if unmatched else OK


def refuses(text: str) -> bool:
    """Whether ``text`` begins as a refusal does."""
    return bool(_REFUSAL.search(text[:_OPENING]))


def select(item: Item, words: Words, selection: Selection) -> str:
    """Select the words of ``item``; returns what of it is not among ``words``."""
    if words.occurrences(item.text):
        selection.add(item.text)
        return ""
    parts = item.text.split()
    known = [part for part in parts if words.occurrences(part)]
    if (item.strict and len(known) < len(parts)) or 2 * len(known) < len(parts) or not known:
        return " ".join(normalised(item.text).split()).strip(EDGES) or item.text.strip()
    after: int | None = None
    for part in known:
        after = selection.add(part, after) or after
    missing = (normalised(part).strip(EDGES) for part in parts if not words.occurrences(part))
    return " ".join(part for part in missing if part)


class _Reader:
    """Takes a reply apart into items. What is a passage of the instance decides between readings."""

    def __init__(self, words: Words, echo: Echo, finished: bool) -> None:
        self._words = words
        self._echo = echo
        self._finished = finished
        self.places = False  # whether the reply lists what only holds the place of a word

    def _passage(self, text: str) -> bool:
        return bool(self._words.occurrences(text)) and not is_marks(text)

    def items(self, text: str) -> list[Item]:
        """The items of a reply, by the first rule that gives any; JSON leaves nothing to others, keys least of all."""
        if is_form(text):
            return []
        rules: tuple[Callable[[str], Iterator[Item]], ...] = (self._whole, self._bullets, self._quotations, self._lines)
        if json_strings(text) is not None:
            rules = (self._whole, self._structure)
        for rule in rules:
            if found := [item for item in rule(text) if not self._holds_place(item.text)]:
                return found
        return []

    def _holds_place(self, text: str) -> bool:
        holds = self._echo.holds_place(text)
        self.places |= holds
        return holds

    def _structure(self, text: str) -> Iterator[Item]:
        strings, keys = json_strings(text) or ([], [])
        passages = all(map(self._passage, keys)) and not all(map(self._echo.is_label, keys))
        explained = all(map(self._echo.is_label, strings)) and all(map(self._echo.has_own, keys))
        if keys and (passages or explained):
            strings = keys
        for string in strings:
            if not self._holds_place(string):
                yield from self._list_item(string)

    def _whole(self, text: str) -> Iterator[Item]:
        candidates = [text, _FILLER.sub("", text), _COLON.split(text, maxsplit=1)[-1]]
        if not self._finished:
            # A copy that was cut in the middle of a word is still a copy up to there.
            candidates += [candidate.rsplit(None, 1)[0] for candidate in candidates if candidate.strip()]
        for candidate in candidates:
            # On several lines it is a list that happens to name words in a row.
            if len(candidate.split()) > SHORT and "\n" not in candidate.strip() and self._passage(candidate):
                yield Item(candidate)
                return

    def _bullets(self, text: str) -> Iterator[Item]:
        for content in bullets(text):
            if not self._holds_place(content):
                yield from self._list_item(content)

    def _quotations(self, text: str) -> Iterator[Item]:
        quoted = list(quotations(text))
        # `**Positive**: great, fun` lists what stands behind.
        heads = self._echo.all_labels(quoted) and any(self._behind_label(line) != line for line in text.split("\n"))
        for one in () if heads else quoted:
            yield from self._piece(one)

    def _lines(self, text: str) -> Iterator[Item]:
        if refuses(text):
            return
        for line in text.split("\n"):
            yield from self._line(line.strip())

    def _line(self, line: str) -> Iterator[Item]:
        """A line of prose: a list if it reads as one, else its sentences."""
        line = self._behind_label(line)
        if self._passage(line):
            yield Item(line)
            return
        # Brackets close again, so that what stands behind them may be the next item of a comma list.
        if (head := self._explained(line)) and not line[len(head) :].lstrip().startswith("("):
            yield Item(head)
            return
        introduction = _INTRODUCTION.match(line[:_OPENING])
        bare = line[introduction.end() :] if introduction else line
        colon = _COLON.split(bare, maxsplit=1)
        bare = colon[1] if len(colon) > 1 else bare
        if pieces := self._pieces(bare):
            yield from pieces
            return
        for sentence in _SENTENCE_END.split(bare):
            if pieces := self._pieces(sentence):
                yield from pieces
            elif sentence and all(self._passage(word) for word in sentence.split()):
                yield Item(sentence, strict=True)

    def _pieces(self, text: str) -> list[Item]:
        """The pieces of a comma list, or of a line of few words; nothing if ``text`` reads as a sentence."""
        if self._passage(text):
            return [Item(text)]
        pieces = [self._explained(piece) or piece for piece in HARD_SEPARATOR.split(text)]
        if any(len(piece.split()) > SHORT + 1 and not self._passage(piece) for piece in pieces):
            return []
        named = [part for piece in pieces for part in self._split(piece)]
        if any(len(piece.split()) > SHORT and not self._passage(piece) for piece in named):
            return []
        return [
            Item(piece, strict=True) for piece in named if self._passage(piece) or not _FILLER.fullmatch(piece + ",")
        ]

    def _split(self, text: str) -> list[str]:
        """The parts of ``text`` between commas or `and`, unless it is a passage with those in it."""
        if self._passage(text):
            return [text]
        return [part for part in _SEPARATOR.split(text) if letters(part) or self._passage(part)]

    def _behind_label(self, text: str) -> str:
        """``text`` without a label at its head (`positive: great, fun`) if what stands behind it lists passages."""
        for pattern in (_COLON, _EXPLAINED):
            cut = pattern.search(text[:_OPENING])
            if cut and self._echo.is_label(text[: cut.start()]):
                behind = text[cut.end() :]
                if any(self._passage(piece.text) for piece in self._pieces(behind)):
                    return behind
        return text

    def _explained(self, text: str) -> str | None:
        """What stands before an explanation in ``text``, if that is a passage of the instance."""
        for pattern in (_COLON, _EXPLAINED):
            for cut in pattern.finditer(text[:_OPENING]):
                head = text[: cut.start()]
                if self._passage(head):
                    return head
        return None

    def _list_item(self, text: str) -> Iterator[Item]:
        """The content of a bullet or of a JSON string."""
        # `word: great` names a word `great`, unless the instance has the word `word` and no word `great`.
        labels = _LABELS.match(text)
        if labels and (self._passage(text[labels.end() :]) or not self._passage(labels.group())):
            text = text[labels.end() :]
        text = self._behind_label(text)
        if self._passage(text):
            yield Item(text)
        elif leading := leading_quotations(text):
            for quoted in leading:
                yield from self._piece(quoted)
        elif head := self._explained(text):
            yield Item(head)
        else:
            head, *behind = _COLON.split(text, maxsplit=1)
            explained = behind and self._echo.is_label(behind[0]) and self._echo.has_own(head)
            if behind and self._passage(behind[0]) and not explained:
                yield Item(behind[0])
            elif quoted_inside := list(quotations(text)):
                for quoted in quoted_inside:
                    yield from self._piece(quoted)
            else:
                yield from self._piece(_EXPLAINED.split(head, maxsplit=1)[0])

    def _piece(self, text: str) -> Iterator[Item]:
        for part in self._split(text):
            yield Item(part)
