"""Solved examples before every question, and corpora that contrast a label with a foil, from table to table."""

from __future__ import annotations

import numpy as np
import pytest
from model_cells import RATIONALE, TEXTS, TRAIN, Cell, Naive, naive, shown
from rationale_eval.corpora.instances import read_instances
from rationale_eval.errors import UserError
from rationale_eval.models.shots import draw
from rationale_eval.models.task import task_from_slice, task_slice
from rationale_eval.tables import read_provenance


def drawn(cell):
    """The solved examples that the stages show, as texts and answers."""
    task = task_from_slice(task_slice(cell.prompts, None, []))
    shots = [(fields["text"], label) for fields, label in draw(read_instances(cell.train), task, 2, 0)]
    assert sorted(shots) == sorted(TRAIN)
    return shots


@pytest.mark.parametrize("tokenizer", ["byte_level", "byte_level_base", "sentencepiece"])
def test_with_solved_examples_the_predictions_are_those_after_them(cell_of, assert_close, capsys, tokenizer):
    cell = cell_of("llama", tokenizer)
    tables = cell.evidence("a", shots=2)
    by_hand = Naive(cell.card, drawn(cell))
    for name in ("warm", "grim", "short"):
        row = tables["predictions"][name]
        assert row["tokens"] == len(by_hand.ids(by_hand.prompt(TEXTS[name])))
        assert_close(row["scores"], by_hand.scores(TEXTS[name]))
        assert len(tables["gradients"][name]["grad_l2"]) == len(tables["attention"][name]["last"])
    shared = next(line for line in capsys.readouterr().err.splitlines() if "are shared by all prompts" in line)
    before = by_hand.ids(by_hand.prompt("").split(shown(""))[0])
    assert int(shared.split()[2]) > len(before) - 2 > 40, "the examples are computed once"
    example = read_provenance(cell.folder / "a" / "predictions.parquet")["example_prompt"]
    assert example == by_hand.prompt(TEXTS["warm"])
    without = cell.evidence("b")["predictions"]
    assert np.abs(np.array(without["warm"]["scores"]) - tables["predictions"]["warm"]["scores"]).max() > 1e-2


def test_tokens_of_solved_examples_are_no_content(cell_of):
    cell = cell_of()
    plain, few = cell.evidence("a"), cell.evidence("b", shots=2)
    for name in ("warm", "grim"):
        for column in ("token_field", "token_start", "token_end"):
            assert plain["gradients"][name][column] == few["gradients"][name][column]


def test_solved_examples_need_the_train_rows(cell_of, monkeypatch):
    cell = cell_of()
    whole = Cell.arguments

    def without_table(self, *arguments):
        command = whole(self, *arguments)
        place = command.index("--shots")
        return command[:place] + command[place + 2 :]

    monkeypatch.setattr(Cell, "arguments", without_table)
    with pytest.raises(UserError, match="--shots: solved examples need one table of train instances"):
        cell.evidence("a", shots=2)
    monkeypatch.undo()
    with pytest.raises(UserError, match="need 2 different train texts with the label"):
        cell.evidence("a", shots=4)


def test_the_style_of_the_prompt_is_the_specs(cell_of, assert_close):
    cell = cell_of()
    found = cell.evidence("a", prompt_style="completion", system_prompt="Be brief.")
    example = read_provenance(cell.folder / "a" / "predictions.parquet")["example_prompt"]
    assert example == f"Be brief.\n\n{shown(TEXTS['warm'])}\n\nAnswer:"
    assert found["predictions"]["warm"]["status"] == "ok"


@pytest.mark.parametrize("verbalisers", [None, {"negative": "negative", "positive": "positive indeed"}])
def test_gradients_of_a_contrastive_corpus_are_those_of_the_difference(cell_of, assert_close, verbalisers):
    """Also where the model predicts the foil. With two labels the log-odds of one are the contrast with the other."""
    cell = cell_of(verbalisers=verbalisers)
    words = verbalisers or {"negative": "negative", "positive": "positive"}
    plain = cell.evidence("a")
    found = cell.evidence("b", foil="negative")
    model = Naive(cell.card)
    for name in ("warm", "grim", "short"):
        predicted = found["predictions"][name]["predicted"]
        other = {"negative": "positive", "positive": "negative"}[predicted]
        assert_close(found["gradients"][name]["grad_l2"], model.contrast(TEXTS[name], words[predicted], words[other]))
        assert_close(found["predictions"][name]["scores"], plain["predictions"][name]["scores"])
        assert_close(found["attention"][name]["rollout"], plain["attention"][name]["rollout"])
        assert_close(found["gradients"][name]["grad_l2"], plain["gradients"][name]["grad_l2"])


def test_a_foil_that_the_prompt_file_does_not_verbalise_is_named(cell_of):
    with pytest.raises(UserError, match="row 'warm' has the label 'neutral'"):
        cell_of().evidence("a", foil="neutral")


def test_perturbed_texts_are_asked_after_the_same_solved_examples(cell_of, assert_close):
    cell = cell_of()
    rows = cell.perturb("p", {"descending": RATIONALE["descending"]}, shots=2)
    rows = {(row["id"], row["budget"], row["operation"]): row for row in rows}
    by_hand = Naive(cell.card, drawn(cell))
    expected = {
        ("warm", "one", "mask"): "___ warm and elegant concert.",
        ("warm", "var", "keep"): "A ___ ___ ___ ___",
        ("short", "one", "mask"): "Bleak ___",
    }
    for key, text in expected.items():
        assert_close(rows[key]["scores"], by_hand.scores(text))
        assert np.abs(np.array(rows[key]["scores"]) - naive(cell.card, text)).max() > 1e-2
