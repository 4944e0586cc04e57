"""The model stages from table to table: statuses, resuming, other batches, and numbers worked out again beside them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from model_cells import RATIONALE, TEXTS, Naive, instance, naive, scored, shown
from rationale_eval.errors import UserError
from rationale_eval.faithfulness.schema import ALL, LEFT_OUT, RANDOM, WHOLE
from rationale_eval.models.prepare import card as card_of
from rationale_eval.provenance import sha256_file
from rationale_eval.rationales.budgets import top
from rationale_eval.rationales.reference import random_scores
from rationale_eval.rationales.schema import rationale_row
from rationale_eval.tables import read_provenance, write_json

STATUS = {"warm": "ok", "grim": "ok", "markup": "chat_markup", "long": "too_long", "short": "ok"}


def test_every_instance_has_a_row_in_order_with_a_status_and_numbers_where_it_is_ok(cell_of):
    tables = cell_of().evidence("a")
    for table in tables.values():
        assert {name: row["status"] for name, row in table.items()} == STATUS
        assert list(table) == list(TEXTS)
    for name, status in STATUS.items():
        prediction = tables["predictions"][name]
        filled = [prediction["predicted"], prediction["scores"], prediction["probabilities"]]
        filled += [tables["gradients"][name][key] for key in ("token_start", "gxi_dot", "grad_l2")]
        filled += [tables["attention"][name][key] for key in ("token_start", "last", "rollout")]
        assert [value is not None for value in filled] == [status == "ok"] * len(filled)
        assert prediction["gold"] == "positive"
        assert prediction["labels"] == ["negative", "positive"]
    assert tables["predictions"]["long"]["tokens"] > 256


def test_predictions_are_the_models_own(cell_of, assert_close):
    cell = cell_of()
    for name, row in cell.evidence("a")["predictions"].items():
        if row["status"] == "ok":
            expected = naive(cell.card, TEXTS[name])
            assert_close(row["scores"], expected)
            assert row["predicted"] == row["labels"][int(np.argmax(expected))]
            assert_close(row["probabilities"], np.exp(expected) / np.exp(expected).sum())


def test_tokens_and_statistics_are_aligned_and_lie_in_the_text(cell_of):
    tables = cell_of().evidence("a")
    for kind, statistics in (("gradients", ("grad_l1", "gxi_l2")), ("attention", ("mean", "last"))):
        for name, row in tables[kind].items():
            if row["status"] == "ok":
                assert {len(row[key]) for key in ("token_field", "token_start", "token_end", *statistics)} == {
                    len(row["token_field"])
                }
                covered = {p for s, e in zip(row["token_start"], row["token_end"], strict=True) for p in range(s, e)}
                assert covered >= {place for place, character in enumerate(TEXTS[name]) if character != " "}


def test_a_resumed_or_repeated_run_gives_identical_tables_and_other_batches_equal_ones(cell_of, assert_close):
    cell = cell_of()
    first = cell.evidence("first")
    assert cell.evidence("again") == first, "all of it from the memo"
    assert cell.evidence("fresh", memo="other-memo") == first, "all of it computed again"
    for alone in (
        cell.evidence("rows", memo="third-memo", rows=1),
        cell.evidence("more", texts=TEXTS | {"x": "Hm no"}),
    ):
        for name in ("warm", "grim", "short"):
            assert alone["predictions"][name]["predicted"] == first["predictions"][name]["predicted"]
            assert_close(alone["predictions"][name]["scores"], first["predictions"][name]["scores"])
            assert_close(alone["gradients"][name]["grad_l2"], first["gradients"][name]["grad_l2"])
            assert_close(alone["attention"][name]["rollout"], first["attention"][name]["rollout"])


def test_a_corpus_of_which_nothing_can_be_asked_still_gives_its_tables(cell_of):
    tables = cell_of().evidence("a", texts={"long": TEXTS["long"], "markup": TEXTS["markup"]})
    assert {row["status"] for table in tables.values() for row in table.values()} == {"too_long", "chat_markup"}


def test_a_label_or_field_that_the_prompt_lacks_is_named_with_its_row(cell_of):
    with pytest.raises(UserError, match="row 'warm' has the label 'positive'"):
        cell_of(verbalisers={"yes": "yes", "no": "no"}).evidence("a")
    with pytest.raises(UserError, match="row 'warm' lacks the field\\(s\\) \\['claim'\\]"):
        cell_of(classify="{claim}?", fields=("claim",)).evidence("a")


def test_the_provenance_names_model_versions_and_an_example(cell_of):
    cell = cell_of()
    cell.evidence("a")
    found = read_provenance(cell.folder / "a" / "predictions.parquet")
    assert found["model"]["files"]["model.safetensors"]["sha256"]
    assert {"torch", "transformers"} <= set(found["versions"])
    assert "Text: A warm and elegant concert." in found["example_prompt"]
    assert (found["dtype"], found["device"]) == ("float32", "cuda" if torch.cuda.is_available() else "cpu")


def test_the_provenance_names_the_solved_examples(cell_of):
    cell = cell_of()
    cell.evidence("a", shots=2)
    cell.perturb("b", {"m": [scored("warm", [0.1] * 5)]}, shots=2)
    expected = sha256_file(cell.train)
    for table in ("a/predictions.parquet", "a/gradients.parquet", "b/out.parquet"):
        assert read_provenance(cell.folder / table)["inputs"]["shots"]["sha256"] == expected, table


def test_a_model_with_capped_attention_keeps_it_when_only_gradients_are_wanted(cell_of, assert_close):
    cell = cell_of("gemma2")
    found = cell.evidence("a", kinds=("gradients",))
    for name in ("warm", "grim"):
        assert_close(found["predictions"][name]["scores"], naive(cell.card, TEXTS[name]))
        assert found["gradients"][name]["status"] == "ok"
        assert found["gradients"][name]["gxi_dot"]
        assert found["attention"][name]["status"] != "ok"
        assert found["attention"][name]["last"] is None


def test_a_model_with_capped_attention_keeps_it_when_attention_is_recorded(cell_of, assert_close):
    cell = cell_of("gemma2")
    found = cell.evidence("a")
    for name in ("warm", "grim"):
        assert_close(found["predictions"][name]["scores"], naive(cell.card, TEXTS[name]))
        assert found["attention"][name]["status"] == "ok"


def test_perturbed_scores_are_those_of_the_text_one_would_write(cell_of, assert_close):
    cell = cell_of()
    rows = {(row["method"], row["id"], row["budget"], row["operation"]): row for row in cell.perturb("p", RATIONALE)}
    expected = {
        ("descending", "warm", "one", "mask"): "___ warm and elegant concert.",
        ("descending", "warm", "var", "keep"): "A ___ ___ ___ ___",
        ("descending", "short", "one", "mask"): "Bleak ___",
        ("descending", "short", "var", "keep"): "___ story",
        ("same", "warm", "var", "mask"): "___ warm and elegant concert.",
    }
    for key, text in expected.items():
        assert_close(rows[key]["scores"], naive(cell.card, text))
    assert {row["status"] for key, row in rows.items() if key[1] == "long"} == {"too_long"}
    assert {row["status"] for key, row in rows.items() if key[:2] == ("descending", "markup")} == {"chat_markup"}
    assert all((row["scores"] is None) == (row["status"] != "ok") for row in rows.values())


def test_an_announced_mask_is_announced_before_the_whole_text_too(cell_of, assert_close):
    cell = cell_of()
    rows = cell.perturb("p", {"same": RATIONALE["same"]}, mask="[GONE]", announce=True)
    found = {(row["method"], row["operation"]): row["scores"] for row in rows if row["id"] == "warm"}
    asked = Naive(cell.card)
    for key, text in {
        (WHOLE, "mask"): TEXTS["warm"],
        ("same", "mask"): "[GONE] warm and elegant concert.",
        (ALL, "mask"): "[GONE] [GONE] [GONE] [GONE] [GONE]",
    }.items():
        said = "Some words of what follows may have been replaced by [GONE].\n\n"
        prompt = asked.tokenizer.apply_chat_template(
            [{"role": "user", "content": said + shown(text)}], tokenize=False, add_generation_prompt=True
        )
        start = len(asked.ids(prompt))
        with torch.no_grad():
            expected = [float(asked.score(start, asked.ids(prompt + label))) for label in ("negative", "positive")]
        assert_close(found[key], expected)


def test_points_of_curves_random_words_and_words_left_out_are_scored_as_such(cell_of, assert_close):
    cell = cell_of()
    more = {"curves": {"methods": ["same"], "ratios": [0.5]}, "random_seeds": [3], "leave_one_out": True}
    rows = cell.perturb("p", {"same": RATIONALE["same"]}, **more)
    found = {(row["method"], row["budget"], row["operation"]): row for row in rows if row["id"] == "warm"}
    expected = {
        ("same", "(3)", "mask"): "___ ___ ___ elegant concert.",
        ("same", "(3)", "keep"): "A warm and ___ ___",
        (LEFT_OUT, "(1)", "mask"): "A ___ and elegant concert.",
        (ALL, "as_given", "mask"): "___ ___ ___ ___ ___",
    }
    for key, text in expected.items():
        assert_close(found[key]["scores"], naive(cell.card, text))
    drawn = top(random_scores(instance("warm", TEXTS["warm"]), 3), 1)
    words = ["___" if hidden else word for word, hidden in zip(TEXTS["warm"].split(), drawn, strict=True)]
    assert_close(found[RANDOM, "(1)", "mask"]["scores"], naive(cell.card, " ".join(words)))


def test_an_input_that_several_methods_ask_for_is_scored_once(cell_of, capsys):
    cell = cell_of()
    once = cell.perturb("p", {"same": RATIONALE["same"]})
    capsys.readouterr()
    both = cell.perturb("q", RATIONALE | {"third": RATIONALE["same"]}, memo="empty")
    log = capsys.readouterr().err
    # warm: one word masked, the others masked; short: the same two; all words of each but long, which cannot be asked.
    assert "perturb: 8 inputs, 0 in the memo, 8 to compute" in log
    assert [row | {"method": ""} for row in both if row["method"] == "third"] == [
        row | {"method": ""} for row in both if row["method"] == "same"
    ]
    assert [row["scores"] is not None for row in once if row["method"] == "same"] == [True] * 3


def test_perturbing_again_asks_the_model_nothing_and_gives_the_same(cell_of, capsys):
    cell = cell_of()
    first = cell.perturb("p", RATIONALE)
    capsys.readouterr()
    assert cell.perturb("q", RATIONALE) == first
    assert "8 in the memo, 0 to compute" in capsys.readouterr().err
    shutil.rmtree(cell.folder / "memo")
    assert cell.perturb("r", RATIONALE) == first


def test_all_words_can_be_deleted_under_a_template_that_strips(cell_of):
    cell = cell_of("llama", "sentencepiece", classify="Text: {text}")
    everything = [rationale_row("warm", selected=[True] * 5)]
    rows = cell.perturb("p", {"all_words": everything}, operator="delete", mask="")
    assert {(row["operation"], row["status"]) for row in rows} == {("mask", "ok"), ("keep", "ok")}


@pytest.fixture
def escaping(cell_of, tmp_path):
    """A cell whose model has a chat template that escapes the user's message as HTML."""
    cell, folder = cell_of(), tmp_path / "escaping"
    shutil.copytree(cell.card.parent, folder)
    template = folder / "snapshot/chat_template.jinja"
    plain = template.read_text()
    template.write_text(plain.replace("message['content']", "message['content'] | replace('<', '&lt;')"))
    assert template.read_text() != plain
    spec = json.loads(cell.card.read_text())
    write_json(folder / "card.json", card_of({"name": spec["name"], "source": spec["source"]}, folder / "snapshot"))
    return replace(cell, card=folder / "card.json")


def test_a_text_that_the_template_alters_has_a_status_and_the_others_their_numbers(escaping, assert_close):
    texts = {"plain": "A warm concert.", "sign": "A warm concert, 3 < 4.", "other": "Bleak story"}
    tables = escaping.evidence("a", texts=texts)
    assert {row["id"]: row["status"] for row in tables["predictions"].values()} == {
        "plain": "ok",
        "sign": "text_altered",
        "other": "ok",
    }
    assert tables["predictions"]["sign"]["scores"] is tables["gradients"]["sign"]["gxi_dot"] is None
    assert_close(tables["predictions"]["plain"]["scores"], naive(escaping.card, texts["plain"]))
    with pytest.raises(UserError, match="alters all 2 texts, so their words cannot be located in it"):
        escaping.evidence("b", texts={"a": "1 < 2", "b": "0 < 1"})


def test_a_mask_that_the_template_alters_is_told_row_by_row(escaping):
    for mask, status in (("___", "ok"), ("<mask>", "text_altered")):
        table = escaping.perturb(status, {"descending": [scored("short", [1.0, 2.0])]}, mask=mask)
        assert {row["status"] for row in table if row["id"] == "short"} == {status}
