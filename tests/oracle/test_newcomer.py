"""A newcomer's six corpora and a base model of SentencePiece and sliding windows, from their files to replies.

Stage by stage with what the configuration makes of each; ``make test-long`` runs the whole study by Snakemake.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import newcomer
import pytest
import torch
import yaml
from rationale_eval.config_checks import parse
from rationale_eval.corpora import card as card_stage
from rationale_eval.corpora import stage as corpus_stage
from rationale_eval.corpora.instances import read_instances
from rationale_eval.evidence import replies as replies_stage
from rationale_eval.evidence import stage as evidence_stage
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.evidence.schema import EVIDENCE, PREDICTIONS
from rationale_eval.rationales.stage import from_evidence
from rationale_eval.study import StudyPlan
from rationale_eval.tables import read_provenance, read_table
from tiny_models import make_tiny
from transformers import AutoModelForCausalLM, AutoTokenizer

# One worker makes what the tests share.
pytestmark = pytest.mark.xdist_group("newcomer")

ROOT = Path(__file__).parents[2]
# Corpora that are asked for words with solved examples, and the verbalisers of their labels that have marked words.
EXPLAINED = {"hate": {"hateful"}, "spans": {"toxic"}, "pairs": {"yes", "no", "maybe"}}


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """The folder with all files, the plan of the study, and what its stages made of each corpus."""
    from conftest import prepare

    folder = tmp_path_factory.mktemp("newcomer")
    newcomer.make(folder / "mine")
    (folder / "workflow").symlink_to(ROOT / "workflow")
    made = make_tiny(folder / "model", "gemma3", "sentencepiece_base", positions=2048)
    raw = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    own = newcomer.study(made)
    merged = {
        key: {**raw[key], **own[key]} if isinstance(own.get(key), dict) else own.get(key, raw[key]) for key in raw
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        plan = StudyPlan(parse(merged))
        plan.prompts.check()
        card = prepare(made, folder / "prepared")
        for name in newcomer.MADE:
            _run(plan, name, folder / name, card)
        yield SimpleNamespace(folder=folder, plan=plan, card=card)


def _run(plan, name, out, card):
    entry = plan.config.corpora[name]
    for side in ("train", "test"):
        command = ["--spec", plan.corpus(name, side), "--source", plan.sources.path(entry), "--side", side]
        corpus_stage.main([*command, "--output", str(out / f"{side}.parquet")])
    sides = ["--train", str(out / "train.parquet"), "--test", str(out / "test.parquet")]
    card_stage.main(["--spec", plan.corpus_card(name), *sides, "--card", str(out / "card.json")])
    asked = ["--test", str(out / "test.parquet"), "--shots", str(out / "train.parquet"), "--model", str(card)]
    asked += ["--memo", str(out / "memo"), "--batch-tokens", "4096", "--batch-rows", "8"]
    tables = {kind: out / f"{kind}.parquet" for kind in ("predictions", *EVIDENCE)}
    outputs = [part for kind, path in tables.items() for part in (f"--{kind}", str(path))]
    evidence_stage.main(["--spec", plan.evidence(name, "mine"), *asked, *outputs])
    if name not in EXPLAINED:
        return
    spec = plan.replies(name, "mine", "prompt_few_shot")
    predicted = ["--predictions", str(tables["predictions"])]
    replies_stage.main(["--spec", spec, *asked, *predicted, "--output", str(out / "replies.parquet")])


@pytest.mark.parametrize("corpus", newcomer.MADE)
def test_the_marked_words_are_those_of_the_maker(mine, corpus):
    truth = {text.replace(" / ", "\n"): (label, set(marked)) for text, label, marked in newcomer.MADE[corpus]}
    seen = []
    for side in ("train", "test"):
        for row in read_instances(mine.folder / corpus / f"{side}.parquet"):
            text = "\n".join(row.fields.values())
            found = {row.text(word) for word, mark in zip(row.words, row.rationale, strict=True) if mark}
            expected = {one + "!" if one + "!" in text.split() else one for one in truth[text][1]}
            assert (row.label, found) == (truth[text][0], expected)
            assert [row.text(word) for word in row.words] == [
                word for part in row.fields.values() for word in newcomer.words_of(corpus, part, row.label)
            ]
            seen.append(text)
    assert sorted(seen) == sorted(truth)
    card = json.loads((mine.folder / corpus / "card.json").read_text())
    assert card["left_out"]["test"] == {}
    assert card["notes"] == {"train": {}, "test": {}}


@pytest.mark.parametrize("corpus", newcomer.MADE)
def test_scores_are_those_of_plain_transformers_and_every_word_has_its_own(mine, corpus, assert_close):
    out = mine.folder / corpus
    predictions = {row["id"]: row for row in read_table(out / "predictions.parquet", PREDICTIONS)}
    instances = read_instances(out / "test.parquet")
    assert {row["status"] for row in predictions.values()} == {"ok"}
    snapshot = mine.card.parent / "snapshot"
    tokenizer, model = AutoTokenizer.from_pretrained(snapshot), AutoModelForCausalLM.from_pretrained(snapshot).eval()
    prompt = read_provenance(out / "predictions.parquet")["example_prompt"]
    assert prompt.endswith("\n\nAnswer:")
    assert all(text in prompt for text in instances[0].fields.values())
    expected = []
    for answer in mine.plan.task(corpus).verbalisers.values():
        start, ids = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in (prompt, f"{prompt} {answer}"))
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        expected.append(sum(float(logits[place - 1, ids[place]]) for place in range(len(start), len(ids))))
    assert_close(predictions[instances[0].id]["scores"], expected)
    for kind, statistic in (("gradients", "gxi_l2"), ("attention", "rollout")):
        table = read_table(out / f"{kind}.parquet", EVIDENCE[kind])
        rows = list(from_evidence(instances, table, {"statistic": statistic, "aggregation": "max"}))
        assert [len(row["scores"]) for row in rows] == [len(instance.words) for instance in instances]


@pytest.mark.parametrize(
    ("corpus", "labels"), [("hate", {"hateful"}), ("spans", {"toxic"}), ("pairs", {"yes", "no", "maybe"})]
)
def test_solved_examples_are_of_labels_that_have_marks(mine, corpus, labels):
    rows = read_table(mine.folder / corpus / "replies.parquet", REPLIES)
    assert {row["status"] for row in rows} == {"ok"}
    marked = {label for _, label, words in newcomer.MADE[corpus] if words}
    words = mine.plan.task(corpus).verbalisers
    assert {words[label] for label in marked} == labels
    asked = json.loads(rows[0]["request"])
    *solved, _ = asked.split("You answered" if corpus == "pairs" else "this text as ")[1:]
    assert len(solved) == 2
    assert all(any(part.strip(' “"').startswith(label) for label in labels) for part in solved)
    texts = read_instances(mine.folder / corpus / "test.parquet")[0].fields.values()
    assert all(text in asked for text in texts)
    card = json.loads((mine.folder / corpus / "card.json").read_text())
    assert {label for label, count in card["train_marked"].items() if count} == marked
