"""The stages that ask an API, run on a few texts against a server on this machine."""

from __future__ import annotations

import json
import math
from pathlib import Path

import loopback_api
import pytest
from rationale_eval.apis import perturb, predictions, replies
from rationale_eval.apis.answer_schema import ANSWERS
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.faithfulness import measures
from rationale_eval.faithfulness.schema import FAITHFULNESS, PERTURBATIONS
from rationale_eval.models.task import task_slice
from rationale_eval.rationales.schema import RATIONALES, rationale_row
from rationale_eval.tables import read_provenance, read_table, write_table

PROMPTS = Path(__file__).parents[2] / "workflow/prompts/sentiment.yaml"
TEXTS = {"warm": "A warm and elegant concert", "grim": "The grim hotel", "odd": "An odd one", "no": "Not for me"}
# Beside the rationales only all words are masked.
NOTHING_ELSE = {"announce": False, "curves": {"methods": [], "ratios": []}, "random_seeds": [], "leave_one_out": False}
LIMITS = {"name": "asked", "key": None, "concurrency": 2, "requests_per_minute": None, "tokens_per_minute": None}
LIMITS |= {"timeout": 5, "retries": 0, "budget": dict.fromkeys(("requests", "tokens", "money")), "price": None}


@pytest.fixture
def cell(tmp_path):
    """``cell(stage, predict, spec, *arguments)`` runs a stage; ``cell.folder`` holds the tables, ``cell.api`` asks."""
    with loopback_api.running() as api:
        rows = []
        for name, text in TEXTS.items():
            words = whitespace_words([text])
            marks = tuple(place == 1 for place in range(len(words)))
            rows.append(Instance(name, "positive" if name == "warm" else "negative", {"text": text}, words, marks))
        write_instances(tmp_path / "test.parquet", rows, {})
        train = [("Such a tender novel.", "positive"), ("The camera was shoddy.", "negative")]
        solved = [Instance(text, label, {"text": text}, whitespace_words([text]), None) for text, label in train]
        write_instances(tmp_path / "train.parquet", solved, {})

        def run(stage, predict, spec, *arguments, shots=0):
            asked = {"address": api.address, "model": loopback_api.MODEL, "token_limit": "max_tokens", "options": {}}
            asked |= {"answer_tokens": 16}
            spec = {"api": asked | {"predict": predict}, "system_prompt": "Be brief."} | spec
            spec |= {"task": task_slice(PROMPTS, None, ["unbound"]), "shots": {"count": shots, "seed": 0}}
            command = ["--spec", json.dumps(spec), "--test", str(tmp_path / "test.parquet")]
            command += ["--shots", str(tmp_path / "train.parquet")] if shots else []
            command += ["--memo", str(tmp_path / "memo"), "--limits", json.dumps(LIMITS)]
            stage.main([*command, *map(str, arguments)])

        def predict(kind, shots=0):
            tables = ("--predictions", tmp_path / "predictions.parquet", "--answers", tmp_path / "answers.parquet")
            run(predictions, kind, {}, *tables, shots=shots)
            return {row["id"]: row for row in read_table(tmp_path / "predictions.parquet", PREDICTIONS)}

        run.folder, run.api, run.predict = tmp_path, api, predict
        yield run


def says(messages):
    text = messages[-1]["content"]
    if "odd" in text:
        return "It depends, positive or negative."
    return "I'm sorry, I can't say." if "Not for me" in text else loopback_api.answer(messages)


def test_labels_are_read_from_the_text_and_every_answer_is_kept(cell):
    cell.api.reply = says
    found = cell.predict("text")
    read = {name: (row["status"], row["predicted"]) for name, row in found.items()}
    assert read == {
        "warm": ("ok", "positive"),
        "grim": ("ok", "negative"),
        "odd": ("unparsed", None),
        "no": ("refusal", None),
    }
    assert {row["scores"] for row in found.values()} == {None}
    answers = {row["id"]: row for row in read_table(cell.folder / "answers.parquet", ANSWERS)}
    assert answers["odd"]["reply"] == "It depends, positive or negative."
    assert (answers["warm"]["served_model"], answers["warm"]["fingerprint"]) == ("fake-1-2026", "fp_1")
    assert json.loads(answers["warm"]["request"])[0] == {"role": "system", "content": "Be brief."}
    prompt = read_provenance(cell.folder / "predictions.parquet")["example_prompt"]
    assert prompt.startswith("system: Be brief.\n\nuser: Classify the sentiment")


def test_solved_examples_are_earlier_turns(cell):
    cell.predict("text", shots=2)
    (body, *_) = map(json.loads, cell.api.received)
    assert [message["role"] for message in body["messages"]] == ["system", *["user", "assistant"] * 2, "user"]
    assert {message["content"] for message in body["messages"] if message["role"] == "assistant"} == {
        "positive",
        "negative",
    }
    assert (body["temperature"], body["max_tokens"]) == (0, 16)


def certain(messages):
    """Log-probabilities of one token: the more of the rated words are masked, the less certain."""
    share = 0.9 if "elegant" in messages[-1]["content"] else 0.6 if "warm" in messages[-1]["content"] else 0.2
    alternatives = {"positive": share, "negative": 0.95 - share, "The": 0.05}
    listed = [{"token": token, "logprob": math.log(value)} for token, value in alternatives.items()]
    best = max(alternatives, key=alternatives.__getitem__)
    return [{"token": best, "logprob": math.log(alternatives[best]), "top_logprobs": listed}]


def test_scores_come_from_log_probabilities_and_drops_with_them(cell):
    cell.api.logprobs = certain
    found = cell.predict("logprobs")
    assert found["warm"]["predicted"] == "positive"
    assert found["warm"]["probabilities"] == pytest.approx([0.05 / 0.95, 0.9 / 0.95], abs=1e-6)
    assert json.loads(cell.api.received[0])["top_logprobs"] == 20
    masks = {name: [place == 3 for place in range(len(text.split()))] for name, text in TEXTS.items()}
    write_table(
        cell.folder / "r.parquet", [rationale_row(name, selected=mask) for name, mask in masks.items()], RATIONALES, {}
    )
    spec = {"methods": [{"name": "r", "budgets": {"as_given": {"kind": "as_given"}}}], "operator": "replace"}
    spec |= {"mask": "___", "keep_only_budgets": ["as_given"]} | NOTHING_ELSE
    arguments = ("--rationales", cell.folder / "r.parquet", "--output", cell.folder / "perturbed.parquet")
    cell(perturb, "logprobs", spec, "--predictions", cell.folder / "predictions.parquet", *arguments)
    arguments = ["--spec", "{}", "--predictions", str(cell.folder / "predictions.parquet")]
    arguments += ["--perturbations", str(cell.folder / "perturbed.parquet"), "--output", str(cell.folder / "f.parquet")]
    measures.main(arguments)
    (warm,) = [row for row in read_table(cell.folder / "f.parquet", FAITHFULNESS) if row["id"] == "warm"]
    # "elegant" masked: 0.6 of 0.95 instead of 0.9; kept alone it is as certain as all words.
    assert (warm["flip"], warm["flip_when_kept"]) == (False, False)
    assert warm["comprehensiveness"] == pytest.approx(0.3 / 0.95, abs=1e-6)
    assert warm["sufficiency"] == pytest.approx(0.0, abs=1e-6)


def test_rows_without_a_prediction_are_neither_asked_about_nor_masked(cell):
    cell.api.reply = says
    cell.predict("text")
    before = len(cell.api.received)
    spec = {"strategy": "unbound", "gives": "words", "order": "after", "chat": "separate", "samples": 1, "seed": 0}
    spec |= {"max_words": 20, "max_new_tokens": 32, "temperature": None, "top_p": 1.0}
    given = ("--predictions", cell.folder / "predictions.parquet")
    cell(replies, "text", spec, *given, "--output", cell.folder / "replies.parquet")
    table = {row["id"]: row for row in read_table(cell.folder / "replies.parquet", REPLIES)}
    assert {name: row["status"] for name, row in table.items()} == {
        "warm": "ok",
        "grim": "ok",
        "odd": "unparsed",
        "no": "refusal",
    }
    assert table["warm"]["reply"] == "- warm\n- elegant"
    assert len(cell.api.received) - before == 2
    whole = [rationale_row(name, selected=[True] * len(text.split())) for name, text in TEXTS.items()]
    write_table(cell.folder / "r.parquet", whole, RATIONALES, {})
    spec = {"methods": [{"name": "r", "budgets": {"as_given": {"kind": "as_given"}}}], "operator": "replace"}
    spec |= {"mask": "___", "keep_only_budgets": []} | NOTHING_ELSE
    arguments = ("--rationales", cell.folder / "r.parquet", "--output", cell.folder / "perturbed.parquet")
    cell(perturb, "text", spec, *given, *arguments)
    assert len(cell.api.received) - before == 4
    found = {row["id"]: row for row in read_table(cell.folder / "perturbed.parquet", PERTURBATIONS)}
    assert (found["odd"]["status"], found["no"]["status"]) == ("unparsed", "refusal")
    assert (found["warm"]["status"], found["warm"]["predicted"], found["warm"]["scores"]) == ("ok", "negative", None)


def test_log_probabilities_that_a_server_does_not_give_are_told(cell):
    with pytest.raises(UserError, match=r"models\.asked\.predict: .* gives no log-probabilities"):
        cell.predict("logprobs")
    assert not (cell.folder / "predictions.parquet").exists()
    assert len(cell.api.received) <= 3  # the concurrency is 2: not all are paid for


def test_a_classification_that_was_cut_off_before_its_answer_is_a_missing_value(cell):
    def instead(body):
        text = body["messages"][-1]["content"]
        if "grim" in text:
            return 200, loopback_api.completion("<think>negative, or positive", "length")
        if "odd" in text:
            return 200, loopback_api.completion({"content": "", "reasoning_content": "negative"}, "length")
        return 200, loopback_api.completion("<think>negative? no.</think>\n\nPositive")

    cell.api.instead = instead
    found = cell.predict("text")
    assert {name: (row["status"], row["predicted"]) for name, row in found.items()} == {
        "warm": ("ok", "positive"),
        "grim": ("cut_off", None),
        "odd": ("cut_off", None),
        "no": ("ok", "positive"),
    }


def test_a_server_that_gives_no_alternatives_is_told_like_one_without_log_probabilities(cell):
    for first in ([], None):
        tokens = [{"token": "positive", "logprob": -0.1, "top_logprobs": first}]
        cell.api.logprobs = lambda messages, tokens=tokens: tokens
        with pytest.raises(UserError, match=r"models.asked.predict: .*; set predict: text"):
            cell.predict("logprobs")
