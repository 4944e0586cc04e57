"""Planted corpora: the label follows from the marked words and from nothing else; faulty grammars are named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml
from rationale_eval.corpora.planted import VARIANTS, load_grammar, read
from rationale_eval.corpora.stage import text_hash
from rationale_eval.errors import UserError

GRAMMAR = Path(__file__).parents[2] / "workflow" / "planted" / "notes.yaml"
CUES = {label: set(words) for label, words in yaml.safe_load(GRAMMAR.read_text())["cues"].items()}
SIDE = {word: label for label, words in CUES.items() for word in words}


def sentences(variant, count=600, seed=13):
    return list(read(GRAMMAR, {"variant": variant, "sentences": count, "seed": seed}, "test", Counter()))


def bare(instance, word):
    return instance.text(word).strip(",.")


def marked(instance):
    return [bare(instance, word) for word, mark in zip(instance.words, instance.rationale, strict=True) if mark]


def cues_about(instance, thing):
    """The word of ``the THING with a …``."""
    words = [bare(instance, word) for word in instance.words]
    return words[words.index(thing) + 3]


def test_plain_the_one_cue_is_marked_and_says_the_label():
    for row in sentences("plain"):
        (cue,) = marked(row)
        assert SIDE[cue] == row.label
        assert [bare(row, word) for word in row.words if bare(row, word) in SIDE] == [cue]


def test_negation_a_negator_turns_the_label_round_and_is_marked():
    rows = sentences("negation")
    for row in rows:
        *negator, cue = marked(row)
        said = SIDE[cue]
        assert negator in ([], ["not"])
        assert row.label == (said if not negator else next(label for label in CUES if label != said))
        assert ("not" in row.fields["text"].split()) == bool(negator)
    assert 0.25 < sum(len(marked(row)) == 2 for row in rows) / len(rows) < 0.42


def test_decoy_the_word_about_the_poster_is_not_marked_and_says_nothing():
    rows = sentences("decoy")
    for row in rows:
        assert marked(row) == [cues_about(row, "card")]
        assert SIDE[cues_about(row, "card")] == row.label
    told = sum(SIDE[cues_about(row, "poster")] == row.label for row in rows) / len(rows)
    assert 0.42 < told < 0.58  # 600 fair coins: within four standard deviations


def test_conjunction_left_needs_both_and_one_rules_it_out():
    for row in sentences("conjunction"):
        sides = {noun: SIDE[cues_about(row, noun)] for noun in ("card", "poster")}
        if row.label == "left":
            assert set(sides.values()) == {"left"}
            assert sorted(marked(row)) == sorted(cues_about(row, noun) for noun in sides)
        else:
            (cue,) = marked(row)
            assert [cues_about(row, noun) for noun, side in sides.items() if side == "right"] == [cue]


@pytest.mark.parametrize("variant", VARIANTS)
def test_words_that_are_not_marked_say_nothing_of_the_label(variant):
    rows = sentences(variant, 4000)
    assert Counter(row.label for row in rows) == {"left": 2000, "right": 2000}
    seen: dict[str, Counter[str]] = {}
    for row in rows:
        for word in {bare(row, word) for word in row.words} - set(SIDE):
            seen.setdefault(word, Counter())[row.label] += 1
    for word, labels in seen.items():
        n = labels.total()
        # Five standard deviations of a fair coin: among a hundred words a chance of 6 in 100,000.
        assert abs(labels["left"] - n / 2) <= 2.5 * n**0.5 + 1, word


@pytest.mark.parametrize("variant", VARIANTS)
def test_sentences_depend_on_seed_and_number_alone(variant):
    few, many = sentences(variant, 50), sentences(variant, 100)
    assert [row.fields for row in few] == [row.fields for row in many[:50]]
    assert {text_hash(row) for row in sentences(variant, 50, seed=14)} != {text_hash(row) for row in few}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.pop("slots"), r"has the keys .* this one has"),
        (lambda raw: raw["cues"].update(middle=["oak", "elm"]), "exactly two labels"),
        (lambda raw: raw["cues"].update(left=["rabbit"]), "cues.left must have at least two different words"),
        (lambda raw: raw["cues"]["left"].append("hammer"), r"\['hammer'\] stand in more than one list"),
        (lambda raw: raw["slots"]["place"].append("rabbit"), r"\['rabbit'\] stand in more than one list"),
        (lambda raw: raw["slots"]["place"].append("town hall"), "slots.place: 'town hall' is not a single word"),
        (lambda raw: raw.update(negators=[False]), 'negators must be a list of texts; quote words such as "on"'),
        (lambda raw: raw["templates"].pop("decoy"), "templates must have the variants"),
        (lambda raw: raw["templates"]["plain"].append("A {colour} card."), r"templates.plain\[4\]: \['colour'\] are"),
        (lambda raw: raw["templates"]["plain"].append("No word."), r"must have each of \['cue'\] exactly once"),
        (lambda raw: raw["templates"]["plain"].append("A {cue card."), r"templates.plain\[4\]: expected '}'"),
        (lambda raw: raw["templates"]["plain"].append("A {cue!r} card."), "placeholders are plain"),
    ],
)
def test_a_faulty_grammar_is_named_with_file_and_key(tmp_path, change, message):
    raw = yaml.safe_load(GRAMMAR.read_text())
    change(raw)
    path = tmp_path / "grammar.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(UserError, match=message) as caught:
        load_grammar(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("content", "message"), [(None, "no such grammar"), (b"\xff", "UTF-8"), (b"[1", "YAML")])
def test_what_is_no_grammar_file_is_named(tmp_path, content, message):
    path = tmp_path / "grammar.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_grammar(path)
