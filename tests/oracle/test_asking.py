"""The stage that asks for words, in each of its ways: what a tiny model is shown, and what is kept of it."""

from __future__ import annotations

import json
import shutil
from itertools import permutations

import pytest
import torch
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence import replies as stage
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.memo import Memo
from rationale_eval.models.loading import load
from rationale_eval.models.task import BEFORE, EXPLAIN, IN_CHAT, task_slice
from rationale_eval.tables import read_table, write_table

PROMPTS = """
version: 1
fields: [text]
classify: "Text: {text}"
verbalisers: {negative: negative, positive: positive}
explain: {unbound: "Why {label}? {text}"}
explain_in_chat: {unbound: "Which words?"}
explain_before: {unbound: "Which words matter? {text}"}
"""
TEXTS = ["warm and fine", "bleak and hollow", "such a lovely garden by the lake"]
LABELS = ["negative", "positive"]


def instances(texts, marked=True):
    words = [whitespace_words([text]) for text in texts]
    return [
        Instance(str(place), "positive", {"text": text}, found, (marked, *(False,) * (len(found) - 1)))
        for place, (text, found) in enumerate(zip(texts, words, strict=True))
    ]


@pytest.fixture
def ask(tmp_path, tiny_card):
    """``ask(rows=4, marked=True, style="auto", **spec)``: run the stage; its rows in order."""
    write_instances(tmp_path / "test.parquet", instances(TEXTS), {})
    shared = {"status": "ok", "gold": "positive", "predicted": "negative", "labels": LABELS, "tokens": 9}
    rows = [{"id": str(place), "scores": None, "probabilities": None} | shared for place in range(len(TEXTS))]
    write_table(tmp_path / "predictions.parquet", rows, PREDICTIONS, {})
    (tmp_path / "prompts.yaml").write_text(PROMPTS, encoding="utf-8")

    def run(rows=4, marked=True, style="auto", **change):
        train = [*instances(["Tender!", "grim day"], marked)]
        train = [train[0], Instance("n", "negative", train[1].fields, train[1].words, train[1].rationale)]
        write_instances(tmp_path / "corpus" / "train.parquet", train, {})
        spec = {"strategy": "unbound", "gives": "words", "order": "after", "chat": "separate", "max_words": 20}
        spec |= {"max_new_tokens": 6, "shots": {"count": 0, "seed": 0}}
        spec |= {"samples": 1, "temperature": None, "top_p": 1.0, "seed": 0} | change
        setting = BEFORE if spec["order"] == "before" else IN_CHAT if spec["chat"] == "same" else EXPLAIN
        spec["task"] = task_slice(tmp_path / "prompts.yaml", None, ["unbound"], setting)
        spec["asking"] = {"dtype": "float32", "system_prompt": "Be brief.", "prompt_style": style}
        shots = ["--shots", str(tmp_path / "corpus" / "train.parquet")] if spec["shots"]["count"] else []
        command = ["--spec", json.dumps(spec), "--test", str(tmp_path / "test.parquet"), *shots]
        command += ["--predictions", str(tmp_path / "predictions.parquet"), "--model", str(tiny_card())]
        command += ["--memo", str(tmp_path / "memo"), "--batch-tokens", "512", "--batch-rows", str(rows)]
        stage.main([*command, "--output", str(tmp_path / "out.parquet")])
        return read_table(tmp_path / "out.parquet", REPLIES)

    return run


def said(row):
    """The conversation of a row as (role, content), the system's message aside."""
    return [(turn["role"], turn["content"]) for turn in json.loads(row["request"])[1:]]


def test_in_the_same_chat_the_model_sees_its_own_answer(ask):
    row = ask(chat="same")[0]
    assert said(row) == [("user", "Text: warm and fine"), ("assistant", "negative"), ("user", "Which words?")]
    assert (row["status"], row["label"], row["answer"], row["seed"]) == ("ok", "negative", None, None)


def test_without_a_template_earlier_turns_are_plain_text(ask):
    row = ask(chat="same", style="completion")[0]
    expected = "Be brief.\n\nText: warm and fine\n\nAnswer: negative\n\nWhich words?\n\nAnswer:"
    assert json.loads(row["request"]) == expected
    assert ask(order="before", style="completion")[0]["answer"] in LABELS


def test_the_answer_after_the_words_is_the_label_with_the_highest_score_in_that_conversation(ask, tiny_card):
    rows = ask(order="before")
    loaded = load(tiny_card(), "float32")
    for row, text in zip(rows, TEXTS, strict=True):
        assert said(row) == [("user", f"Which words matter? {text}")]
        assert row["label"] is None
        turns = [*json.loads(row["request"]), {"role": "assistant", "content": row["reply"].strip()}]
        turns.append({"role": "user", "content": f"Text: {text}"})
        prompt = loaded.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        start = loaded.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        scores = []
        for label in LABELS:
            ids = loaded.tokenizer(prompt + label, add_special_tokens=False)["input_ids"]
            assert ids[: len(start)] == start
            with torch.no_grad():
                logs = loaded.model(torch.tensor([ids])).logits[0].log_softmax(-1)
            scores.append(sum(float(logs[place - 1, ids[place]]) for place in range(len(start), len(ids))))
        assert row["answer"] == LABELS[scores.index(max(scores))]


def test_solved_examples_are_earlier_turns(ask):
    turns = said(ask(shots={"count": 2, "seed": 0})[0])
    assert set(turns[:4]) == {
        ("user", "Why positive? Tender!"),
        ("assistant", "- Tender"),
        ("user", "Why negative? grim day"),
        ("assistant", "- grim"),
    }
    assert turns[4] == ("user", "Why negative? warm and fine")


def test_without_a_template_solved_examples_are_blocks_before_the_question(ask):
    """As the models that need them most are asked."""
    shots = {"shots": {"count": 2, "seed": 0}}
    request = json.loads(ask(style="completion", **shots)[0]["request"])
    solved = {"Why positive? Tender!\n\nAnswer: - Tender\n\n", "Why negative? grim day\n\nAnswer: - grim\n\n"}
    system, question = "Be brief.\n\n", "Why negative? warm and fine\n\nAnswer:"
    assert request.startswith(system)
    assert request.endswith(question)
    between = request[len(system) : -len(question)]
    assert between in {"".join(order) for order in permutations(solved)}
    scores = json.loads(ask(style="completion", gives="scores", **shots)[0]["request"])
    assert "Answer: - grim: 1\n- day: 0\n\n" in scores


def test_solved_examples_need_marked_train_rows(ask):
    with pytest.raises(UserError, match="no train row of the corpus 'corpus' has marked words, which `shots: 2`"):
        ask(marked=False, shots={"count": 2, "seed": 0})


def replies(rows):
    return [(row["id"], row["sample"], row["seed"], row["reply"], row["finish"]) for row in rows]


def test_samples_are_numbered_and_neither_batches_nor_a_resumed_run_change_them(ask, tmp_path, monkeypatch):
    drawn = {"samples": 3, "temperature": 1.5, "seed": 7}
    first = ask(**drawn)
    assert [(row["id"], row["sample"], row["seed"]) for row in first] == [
        (str(place), sample, 7) for place in range(3) for sample in range(3)
    ]
    assert len({row["reply"] for row in first}) > 3
    shutil.rmtree(tmp_path / "memo")
    assert replies(ask(rows=2, **drawn)) == replies(first)
    # Fewer samples are the first of more, and are not asked for again.
    monkeypatch.setattr(Memo, "put", lambda *_: pytest.fail("a reply was asked for again"))
    fewer = [row for row in first if row["sample"] < 2]
    assert replies(ask(**drawn | {"samples": 2})) == replies(fewer)


def test_greedy_replies_are_kept_apart_from_sampled_ones(ask):
    greedy = ask()
    sampled = ask(samples=2, temperature=2.0)
    assert replies(ask()) == replies(greedy)
    assert [row["reply"] for row in sampled if row["sample"] == 0] != [row["reply"] for row in greedy]
