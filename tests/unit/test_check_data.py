"""What the check before a study says of the rows and answers that it finds, before any job."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import newcomer
import pytest
import yaml
from rationale_eval.checks.rows import rows
from rationale_eval.checks.verbalisers import verbalisers
from rationale_eval.config_files import merged
from rationale_eval.corpora.instances import Instance
from tokenizers import Tokenizer, models, pre_tokenizers


@pytest.fixture
def checked(project):
    """``checked(corpus, entry's changes, task's changes)``: the plan of a study of one of a newcomer's corpora."""
    newcomer.make(project / "mine")

    def plan(corpus, task=None, methods=None, **entry):
        study = newcomer.study(Path("mine/model"))
        study["study"] |= {"corpora": [corpus]} | ({"methods": methods} if methods else {})
        study["corpora"][corpus] |= entry
        study["tasks"][corpus] |= task or {}
        Path("study.yaml").write_text(yaml.safe_dump(study, allow_unicode=True), encoding="utf-8")
        return merged([Path("study.yaml")])

    return plan


@pytest.mark.parametrize("corpus", newcomer.MADE)
def test_rows_that_can_be_read_are_counted_by_label(checked, corpus):
    ((level, what, text),) = rows(checked(corpus))
    assert (level, what) == ("ok", f"rows of {corpus}")
    label = newcomer.MADE[corpus][0][1]
    assert f"{label} {4 if corpus == 'reviews' else 2}" in text


def problem(plan):
    ((level, _, text),) = rows(plan)
    assert level == "problem"
    return text


def test_an_archive_without_train_rows_is_told(checked, tmp_path):
    with tarfile.open(tmp_path / "mine.tar.gz", "w:gz") as archive:
        archive.add("mine/spans/test.csv", "test.csv")
    text = problem(checked("spans", source={"path": "mine.tar.gz"}))
    assert "no file in it matches 'train.csv'; it holds 1, such as 'test.csv'" in text


def test_a_side_without_usable_rows_is_told(checked, tmp_path):
    for name, content in (("empty.jsonl", "\n"), ("bad.jsonl", json.dumps({"post": 1, "class": "hate"}) + "\n")):
        (tmp_path / "mine/hate" / name).write_text(content)
    assert problem(checked("hate", train=["empty.jsonl"])) == "has no usable train row"
    left = problem(checked("hate", train=["bad.jsonl"], bad_rows="leave_out"))
    assert left == "has no usable train row (left out: {'bad_row': 1})"
    assert "'train.jsonl' is matched by both `train` and `test`" in problem(checked("hate", test=["*.jsonl"]))


def test_labels_and_columns_that_do_not_fit_are_told(checked):
    words = {"verbalisers": {"toxic": "toxic", "fine": "fine"}}
    found = problem(checked("spans", task=words))
    assert found == "train row 'train-2' has the label 'civil', which the task does not verbalise; it has fine, toxic"
    assert "there is no 'klass'; found:" in problem(checked("hate", label="klass"))


def test_solved_examples_need_a_train_row_with_marks(checked, tmp_path):
    (tmp_path / "mine/hate/bare.jsonl").write_text(
        "".join(json.dumps({"post": f"text {k}", "class": k, "raters": [[], []]}) + "\n" for k in ("hate", "normal"))
    )
    found = problem(checked("hate", train=["bare.jsonl"]))
    assert found == "no train row has marked words, which the solved examples of 'prompt_few_shot' show"
    ((level, _, _),) = rows(checked("hate", train=["bare.jsonl"], methods=["saliency_l2", "random"]))
    assert level == "ok"


def test_fields_that_only_reading_can_tell_are_held_against_the_prompt(checked, tmp_path, monkeypatch):
    plan = checked("hate")
    monkeypatch.setattr(
        "rationale_eval.checks.rows.reader_of",
        lambda name, plugins: lambda *_: iter([Instance("1", "hate", {"body": "a"}, (), None)]),
    )
    assert "train row '1' lacks the field(s) ['text'] that the prompt shows; it has ['body'] (workflow" in problem(plan)


def test_a_corpus_that_is_not_here_has_no_line(checked):
    assert list(rows(checked("hate", source={"path": "elsewhere"}))) == []


def test_a_corpus_without_train_rows_says_so(checked):
    ((level, _, text),) = rows(checked("hate", train=[], task={"shots": 0}, methods=["saliency_l2", "random"]))
    assert (level, text.split(";")[0]) == ("ok", "no train rows are asked for")


@pytest.mark.parametrize(
    ("words", "level", "text"),
    [
        ({"hate": "bad", "normal": "fine"}, "ok", "task hate: tokens 'bad' 1, 'fine' 1"),
        ({"hate": "bad word", "normal": "fine"}, "warning", "of unequal numbers of tokens ('bad word' 2, 'fine' 1)"),
        ({"hate": "bad word", "normal": "bad"}, "problem", "'bad' is the beginning of 'bad word', which could never"),
    ],
)
def test_answers_are_tokenised_where_the_tokenizer_is_here(checked, tmp_path, words, level, text):
    plan = checked("hate", task={"verbalisers": words})
    assert list(verbalisers(plan)) == []
    tokenizer = Tokenizer(models.WordLevel({"bad": 0, "word": 1, "fine": 2, "?": 3}, "?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    (tmp_path / "mine/model").mkdir()
    tokenizer.save("mine/model/tokenizer.json")
    ((found, what, said),) = verbalisers(plan)
    assert (found, what) == (level, "answers of mine")
    assert text in said
    (tmp_path / "mine/model/tokenizer.json").write_text("{}")
    assert list(verbalisers(plan)) == []
