"""The split into train and test: nested when it grows, disjoint, and each side independent of the other's size."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.corpora import card as card_stage
from rationale_eval.corpora.instances import Instance, read_instances, whitespace_words
from rationale_eval.corpora.stage import main, take
from rationale_eval.errors import UserError
from rationale_eval.tables import read_provenance


def row(number, group=None, marked=True):
    text = f"text number {number}"
    words = whitespace_words([text])
    instance = Instance(str(number), "yes", {"text": text}, words, tuple(marked and place == 0 for place in range(3)))
    return (text if group is None else group), instance


ROWS = [row(number) for number in range(300)]


def split(rows, seed, test_share, train_rows, test_rows):
    """Both sides."""
    return (
        take(rows, "train", seed, test_share, train_rows),
        take(rows, "test", seed, test_share, test_rows),
    )


def ids(side):
    return [instance.id for instance in side]


def test_the_test_share_is_about_what_was_asked_for():
    train, test = split(ROWS, seed=0, test_share=0.3, train_rows=300, test_rows=300)
    assert len(train) + len(test) == 300
    assert 60 <= len(test) <= 120
    everything = split(ROWS, 0, 1.0, 300, 300)
    assert (len(everything[0]), len(everything[1])) == (0, 300)


@given(small=st.integers(0, 60), more=st.integers(0, 60), other=st.integers(0, 200))
def test_more_rows_extend_a_side_and_the_other_side_has_no_say(small, more, other):
    train, test = split(ROWS, 3, 0.5, small, small)
    larger = split(ROWS, 3, 0.5, small + more, small + more)
    assert larger[0][:small] == train
    assert larger[1][:small] == test
    assert split(ROWS, 3, 0.5, other, small)[1] == test
    assert split(ROWS, 3, 0.5, small, other)[0] == train


@given(st.permutations(range(40)), st.integers(0, 39))
def test_a_corpus_that_grows_or_is_reordered_moves_no_row_to_the_other_side(order, kept):
    train, test = (set(ids(side)) for side in split(ROWS[:40], 1, 0.5, 40, 40))
    part = [ROWS[number] for number in order[:kept]]
    few_train, few_test = (set(ids(side)) for side in split(part, 1, 0.5, 40, 40))
    assert few_train <= train
    assert few_test <= test


def test_rows_are_taken_in_an_order_that_their_file_does_not_decide():
    _, test = split(ROWS, 0, 0.5, 300, 300)
    assert ids(test) != sorted(ids(test), key=int)
    assert ids(split(ROWS[::-1], 0, 0.5, 300, 300)[1]) == ids(test)


def test_another_seed_gives_another_split():
    assert set(ids(split(ROWS, 0, 0.5, 300, 300)[1])) != set(ids(split(ROWS, 1, 0.5, 300, 300)[1]))


def test_side_and_order_are_independent():
    """Were one hash used for both, the test side would hold the first rows in order of each growing corpus."""
    _, half = split(ROWS, 0, 0.5, 0, 20)
    _, most = split(ROWS, 0, 0.9, 0, 20)
    assert ids(half) != ids(most)


def test_a_group_has_one_row_and_one_side():
    doubled = [row(number, group=f"group {number // 3}") for number in range(150)]
    train, test = split(doubled, 0, 0.5, 150, 150)
    groups = [[int(instance.id) // 3 for instance in side] for side in (train, test)]
    assert len(groups[0]) + len(groups[1]) == 50
    assert not set(groups[0]) & set(groups[1])
    assert len(set(groups[0])) == len(groups[0])
    assert len(set(groups[1])) == len(groups[1])


def test_test_rows_have_a_marked_word_and_train_rows_need_none():
    rows = [row(number, marked=number % 2 == 0) for number in range(200)]
    train, test = split(rows, 0, 0.5, 200, 200)
    assert test
    assert all(any(instance.rationale) for instance in test)
    assert any(not any(instance.rationale) for instance in train)


def spec_of(**changes):
    return {
        "name": "smoke",
        "format": "rated_snippets",
        "archive": [],
        "snippets": "snippets.tsv",
        "lexicon": "lexicon.tsv",
        "lexicon_encoding": "utf-8",
        "min_rating": 0.5,
        "min_word_rating": 0.5,
        "min_words": 5,
        "max_words": 15,
        "seed": 0,
        "test_share": 0.5,
        "rows": 12,
        **changes,
    }


def run_stage(source, folder, side, **changes):
    command = ["--spec", json.dumps(spec_of(**changes)), "--source", str(source), "--side", side]
    main([*command, "--output", str(folder / f"{side}.parquet")])


def test_the_stages_write_both_sides_and_a_card_that_fits_them(smoke_corpus, tmp_path):
    run_stage(smoke_corpus, tmp_path, "train", rows=10)
    run_stage(smoke_corpus, tmp_path, "test")
    train, test = (read_instances(tmp_path / f"{name}.parquet") for name in ("train", "test"))
    assert (len(train), len(test)) == (10, 12)
    assert read_provenance(tmp_path / "test.parquet")["spec"] == spec_of()
    command = ["--train", str(tmp_path / "train.parquet"), "--test", str(tmp_path / "test.parquet")]
    command += ["--card", str(tmp_path / "card.json")]
    card_stage.main(["--spec", json.dumps({"name": "smoke", "annotation": "a lexicon"}), *command])
    card = json.loads((tmp_path / "card.json").read_text())
    assert (card["name"], card["annotation"]) == ("smoke", "a lexicon")
    assert (card["train_rows"], card["test_rows"]) == (10, 12)
    assert sum(card["test_labels"].values()) == 12
    assert card["words_per_row"] == pytest.approx(sum(len(row.words) for row in test) / 12)
    assert card["marked_per_row"] == pytest.approx(sum(sum(row.rationale) for row in test) / 12)
    assert card["share_marked"] == pytest.approx(card["marked_per_row"] / card["words_per_row"])


def test_the_stage_names_the_key_when_there_are_too_few_rows(smoke_corpus, tmp_path):
    with pytest.raises(UserError, match=r"corpora.smoke.test_rows: 1000 rows were asked for"):
        run_stage(smoke_corpus, tmp_path, "test", rows=1000)
    assert list(tmp_path.iterdir()) == []
