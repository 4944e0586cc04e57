"""Any text of Unicode through readers, tokenizers and masks, against slow and obvious references.

A hundred texts here, ten thousand by ``make test-long``.
"""

from __future__ import annotations

import copy
import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from prompt_texts import covered
from rationale_eval.corpora.instances import whitespace_words
from rationale_eval.corpora.table import read
from rationale_eval.faithfulness.masking import mask_words
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.rationales.aggregation import words_from_tokens
from table_rows import spec_of
from tokenizers import Regex, normalizers

# What tokenizers and annotation tools stumble over: marks, parts of Hangul, signs without width or of direction,
# pictographs of several characters, other spaces, ligatures and wide letters, scripts without spaces.
ODD = (
    *("\u0301", "\u0323", "\u05b0", "\u1100", "\u1161", "\u11a8", "\uac00", "\u200b", "\u200d", "\ufe0f", "\u202e"),
    *("\ufeff", "\u00ad", "\U0001f44d", "\U0001f3ff", "\U0001f469", "\u00a0", "\u3000", "\t", "\n", "\u2028", "\r"),
    *("\ufb01", "\uff41", "\uff76", "\uff9e", "\u2126", "\u01c4", "\u0130", "\u1e9e", "\u00df", "\u6211", "\u0e01"),
    *("\u0000", "\u0001", "\u0085", "\ue000", "\U000e0041", "\u2581", "*", '"', "'", "{", "<", " ", "  ", "a", "No"),
)
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(ODD), st.characters(exclude_categories=("Cs",)), st.text("abc .", min_size=1, max_size=6)
    ),
    min_size=1,
    max_size=14,
).map("".join)
DROPS = normalizers.Replace(Regex(r"[\p{Cf}\x00-\x08\x0e-\x1f\x7f-\x9f]"), "")
LOWER = normalizers.Lowercase()
# The name of a tokenizer of the tests, and what normalises its text instead of what it has; None: nothing else.
TOKENIZERS = {
    "byte_level": ("byte_level", None),
    "sentencepiece": ("sentencepiece", None),
    "nfc": ("byte_level", normalizers.NFC()),
    "nfkc": ("byte_level", normalizers.NFKC()),
    "lowercase": (
        "byte_level",
        normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]),
    ),
    "drops": ("byte_level", DROPS),
}
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=10_000)


@pytest.fixture(scope="module")
def encoders(tokenizer_of, tmp_path_factory):
    """An encoder with each of ``TOKENIZERS``, with a chat template and without."""
    from rationale_eval.models.task import load_task

    path = tmp_path_factory.mktemp("any") / "prompt.yaml"
    verbalisers = {"no": "negative", "yes": "positive"}
    path.write_text(
        json.dumps({"version": 1, "fields": ["text"], "classify": "Text: {text}\nEnd?", "verbalisers": verbalisers})
    )
    made = []
    for kind, normalizer in TOKENIZERS.values():
        for style in ("chat", "completion"):
            tokenizer = copy.deepcopy(tokenizer_of(kind))
            if normalizer is not None:
                tokenizer.backend_tokenizer.normalizer = normalizer
            made.append(PromptEncoder(tokenizer, load_task(path), None, style))
    return made


def check_tokens(encoders, text, hidden):
    """Every word is covered by its tokens, and masking words changes the prompt there and nowhere else."""
    words = whitespace_words([text])
    masked = [place < len(hidden) and hidden[place] for place in range(len(words))]
    changed = mask_words({"text": text}, words, masked, "replace", "___")["text"]
    slow = []
    for place, character in enumerate(text):
        (inside,) = [number for number, word in enumerate(words) if word.start <= place < word.end] or [None]
        if inside is None or not masked[inside]:
            slow.append(character)
        elif place == words[inside].start:
            slow.append("___")
    assert changed == "".join(slow)
    for encoder in encoders:
        prompt, other = encoder.encode([{"text": text}, {"text": changed}])
        assert covered(prompt, 0) >= {place for word in words for place in range(word.start, word.end)}
        places = [(token.field, token.start, token.end) for token in prompt.content]
        assert words_from_tokens(words, places, [1.0] * len(places), "max", "it") == [1.0] * len(words)
        asked, instead = (f"Text: {shown}\nEnd?" for shown in (text, changed))
        before, found, after = prompt.text.partition(asked)
        assert found
        assert other.text == before + instead + after


def units(text, place, offsets):
    """How many ``offsets`` there are before a character."""
    return {
        "characters": place,
        "utf16": len(text[:place].encode("utf-16-le")) // 2,
        "bytes": len(text[:place].encode()),
    }[offsets]


def check_marks(folder, text, chosen):
    """The marks that a reader finds are the words that were marked, in every way of saying which."""
    pieces = text.split()
    marks = [place < len(chosen) and chosen[place] for place in range(len(pieces))]
    spans, place = [], 0
    for piece, mark in zip(pieces, marks, strict=True):
        place = text.index(piece, place)
        spans += [[place, place + len(piece)]] if mark else []
        place += len(piece)
    said = {"word_indices": [number for number, mark in enumerate(marks) if mark], "mask": list(map(int, marks))}
    said["char_spans"] = spans
    told = "".join(
        "*" * sum(place in span for span in spans) + text[place : place + 1] for place in range(len(text) + 1)
    )
    if "*" not in text:
        said["marked_text"] = told
    for kind, why in said.items():
        for offsets in ("characters", "utf16", "bytes") if kind == "char_spans" else ("characters",):
            spec = spec_of(kind, words="words" if kind in ("word_indices", "mask") else None)
            spec["rationale"] |= {"offsets": offsets, "span_texts": "said" if kind == "char_spans" else None}
            counted = [[units(text, edge, offsets) for edge in span] for span in why] if kind == "char_spans" else why
            row = {"review": text, "verdict": "x", "why": counted, "words": pieces}
            row["said"] = [text[start:end] for start, end in spans]
            (folder / "test.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
            (found,) = read(folder, spec, "test", Counter())
            assert found.fields == {"text": text}
            assert [found.text(word) for word in found.words] == pieces
            assert list(found.rationale) == marks, (kind, offsets)


FLAGS = st.lists(st.booleans(), max_size=14)


def any_text(how):
    """A test over any text and any choice of its words, and over ``ONCE``."""

    def decorate(test):
        for text in (
            "a\u0301 b",
            "\u1100\u1161\u11a8 \u200b",
            "\uff76\uff9e x",
            "\ufeffa\u00ad b\u200d",
            "\u200e",
            "1 \u0001",
        ):
            test = example(text=text, chosen=[True, False])(test)
        return how(given(text=TEXTS, chosen=FLAGS)(test))

    return decorate


@any_text(QUICK)
def test_words_are_covered_and_masks_change_them_alone(encoders, text, chosen):
    assume(text.strip() == text != "")
    check_tokens(encoders, text, chosen)


@any_text(QUICK)
def test_marks_are_those_of_the_file(tmp_path, text, chosen):
    assume(text.strip() and "\0" not in text)
    check_marks(tmp_path, text, chosen)


@pytest.mark.long
@any_text(LONG)
def test_words_of_ten_thousand_texts(encoders, text, chosen):
    assume(text.strip() == text != "")
    check_tokens(encoders, text, chosen)


@pytest.mark.long
@any_text(LONG)
def test_marks_of_ten_thousand_texts(tmp_path, text, chosen):
    assume(text.strip() and "\0" not in text)
    check_marks(tmp_path, text, chosen)
