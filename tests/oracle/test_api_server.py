"""A real server on this machine, `transformers serve` with the weights of SmolLM2, asked by the stages.

Greedy replies of the same weights in this process are the oracle.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest
from rationale_eval.apis import perturb, predictions, replies
from rationale_eval.apis.answer_schema import ANSWERS
from rationale_eval.apis.labels import label_of
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.faithfulness.schema import PERTURBATIONS
from rationale_eval.models.task import load_task, task_slice
from rationale_eval.rationales.schema import RATIONALES, rationale_row
from rationale_eval.tables import read_provenance, read_table, write_table

pytestmark = [
    pytest.mark.xdist_group("smollm2"),
    pytest.mark.skipif(find_spec("fastapi") is None, reason="transformers serve needs transformers[serving]"),
]

PROMPTS = Path(__file__).parents[2] / "workflow/prompts/sentiment.yaml"
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
TEXTS = {"good": "A lovely film with a superb end.", "bad": "A dreadful, tedious meal."}
UNLIMITED = {"requests": None, "tokens": None, "money": None}
# Beside the rationales only all words are masked.
NOTHING_ELSE = {"announce": False, "curves": {"methods": [], "ratios": []}, "random_seeds": [], "leave_one_out": False}
REPLY_TOKENS = 24


@pytest.fixture(scope="module")
def server(smollm2_card, tmp_path_factory):
    """``(base address, model's name)`` of a server that answers."""
    folder = str((smollm2_card.parent / "snapshot").resolve())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    command = ["serve", folder, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(log.parent), "OMP_NUM_THREADS": "1"}
    transformers = Path(sys.executable).with_name("transformers")
    with log.open("wb") as stream:
        process = subprocess.Popen([transformers, *command], env=environment, stdout=stream, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 120
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1", folder
    finally:
        process.terminate()
        process.wait(30)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def oracle(smollm2_card):
    """``oracle(messages, count)``: what the same weights say in this process, greedily."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = smollm2_card.parent / "snapshot"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()

    def say(messages, count):
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
        with torch.no_grad():
            found = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False)
        return tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True)

    return say


@pytest.fixture(scope="module")
def cell(server, tmp_path_factory):
    """``cell(stage, spec, *arguments)`` runs a stage on two texts; its folder is ``cell.folder``."""
    folder = tmp_path_factory.mktemp("cell")
    rows = []
    for name, text in TEXTS.items():
        words = whitespace_words([text])
        label = {"good": "positive", "bad": "negative"}[name]
        rows.append(Instance(name, label, {"text": text}, words, tuple(place == 1 for place in range(len(words)))))
    write_instances(folder / "test.parquet", rows, {})
    limits = {"name": "served", "key": None, "concurrency": 2, "requests_per_minute": None, "tokens_per_minute": None}
    limits |= {"timeout": 60, "retries": 1, "budget": UNLIMITED, "price": None}

    def run(stage, spec, *arguments, model=server[1], predict="text"):
        api = {"address": server[0], "model": model, "token_limit": "max_tokens", "options": {}, "predict": predict}
        api |= {"answer_tokens": 16}
        shared = {"api": api, "system_prompt": SYSTEM, "task": task_slice(PROMPTS, None, ["unbound"])}
        command = ["--spec", json.dumps(shared | {"shots": {"count": 0, "seed": 0}} | spec)]
        command += ["--test", str(folder / "test.parquet"), "--memo", str(folder / "memo")]
        stage.main([*command, "--limits", json.dumps(limits), *map(str, arguments)])

    run.folder = folder
    tables = ("--predictions", folder / "predictions.parquet", "--answers", folder / "answers.parquet")
    run(predictions, {}, *tables)
    return run


def test_answers_are_those_of_the_same_weights(cell, oracle):
    task = load_task(PROMPTS)
    found = {row["id"]: row for row in read_table(cell.folder / "predictions.parquet", PREDICTIONS)}
    for row in read_table(cell.folder / "answers.parquet", ANSWERS):
        messages = json.loads(row["request"])
        assert messages[0] == {"role": "system", "content": SYSTEM}
        assert row["reply"] == oracle(messages, 16)
        assert row["prompt_tokens"] > 40
        status, label = label_of(row["reply"], task.verbalisers)
        assert (found[row["id"]]["status"], found[row["id"]]["predicted"]) == (status, label)
        assert found[row["id"]]["scores"] is None
    served = read_provenance(cell.folder / "predictions.parquet")["served"]
    assert sum(served.values()) == len(TEXTS)


def test_replies_are_those_of_the_same_weights(cell, oracle):
    # Labels as if they had been predicted: which one the small model names is not the matter here.
    rows = read_table(cell.folder / "predictions.parquet", PREDICTIONS)
    made = [row | {"status": "ok", "predicted": row["gold"]} for row in rows]
    write_table(cell.folder / "given.parquet", made, PREDICTIONS, {})
    spec = {"strategy": "unbound", "gives": "words", "order": "after", "chat": "separate", "samples": 1, "seed": 0}
    spec |= {"max_words": 20, "max_new_tokens": REPLY_TOKENS, "temperature": None, "top_p": 1.0}
    arguments = ("--predictions", cell.folder / "given.parquet", "--output", cell.folder / "replies.parquet")
    cell(replies, spec, *arguments)
    for row in read_table(cell.folder / "replies.parquet", REPLIES):
        assert row["reply"] == oracle(json.loads(row["request"]), REPLY_TOKENS)
        assert row["finish"] in ("stop", "length")
        assert row["reply_tokens"] <= REPLY_TOKENS


def test_masked_texts_are_asked_again(cell, oracle):
    table = [rationale_row(name, selected=[True] * len(text.split())) for name, text in TEXTS.items()]
    write_table(cell.folder / "all.parquet", table, RATIONALES, {})
    spec = {"methods": [{"name": "all", "budgets": {"as_given": {"kind": "as_given"}}}], "operator": "replace"}
    spec |= {"mask": "___", "keep_only_budgets": []} | NOTHING_ELSE
    rows = read_table(cell.folder / "predictions.parquet", PREDICTIONS)
    made = [row | {"status": "ok", "predicted": row["gold"]} for row in rows]
    write_table(cell.folder / "given.parquet", made, PREDICTIONS, {})
    arguments = ("--rationales", cell.folder / "all.parquet", "--output", cell.folder / "perturbed.parquet")
    cell(perturb, spec, "--predictions", cell.folder / "given.parquet", *arguments)
    task = load_task(PROMPTS)
    for row in read_table(cell.folder / "perturbed.parquet", PERTURBATIONS):
        masked = " ".join(["___"] * len(TEXTS[row["id"]].split()))
        message = task.message({"text": masked})[0]
        said = oracle([{"role": "system", "content": SYSTEM}, {"role": "user", "content": message}], 16)
        assert (row["status"], row["predicted"]) == label_of(said, task.verbalisers)


def test_a_server_without_log_probabilities_is_told(cell, tmp_path):
    outputs = ("--predictions", tmp_path / "predictions.parquet", "--answers", tmp_path / "answers.parquet")
    with pytest.raises(UserError, match=r"models\.served\.predict: .* gives no log-probabilities .* predict: text"):
        cell(predictions, {}, *outputs, predict="logprobs")
    assert not list(tmp_path.glob("*"))


def test_a_model_that_the_server_does_not_have_is_told(cell, tmp_path):
    outputs = ("--predictions", tmp_path / "predictions.parquet", "--answers", tmp_path / "answers.parquet")
    with pytest.raises(UserError, match=r"models\.served\.source: .*no/such"):
        cell(predictions, {}, *outputs, model="no/such")
