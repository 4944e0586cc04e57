"""The stages that ask a model, in shards: whatever their number, the merged tables are those of one job."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import pytest
import tiny_models
import yaml
from rationale_eval import config_checks, merge
from rationale_eval.__main__ import STAGES
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.models.stage_input import own_gpus
from rationale_eval.rationales.schema import RATIONALES, rationale_row
from rationale_eval.shards import parse
from rationale_eval.study import StudyPlan
from rationale_eval.tables import write_table
from same_tables import columns, differences, provenance

ROOT = Path(__file__).parents[2]
ROWS = 6
ALL = 1
# Texts alike, of very different lengths, and one that cannot be put to the model.
LONG = "so it went on " * 60


@pytest.fixture(scope="module")
def shared(tmp_path_factory, tiny_card):
    """A corpus, a model and their plan, and a cell that one job for each stage has made."""
    folder = tmp_path_factory.mktemp("shards")
    texts = [text for _, (_, text) in zip(range(ROWS - 2), tiny_models.sentences(seed=3), strict=False)]
    texts += [texts[0], LONG]
    rows = []
    for number, text in enumerate(texts):
        words = whitespace_words([text])
        marked = tuple(place % 4 == 1 for place in range(len(words)))
        rows.append(Instance(f"row-{number}", ("negative", "positive")[number % 2], {"text": text}, words, marked))
    write_instances(folder / "test.parquet", rows, {})
    raw = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for task in raw["tasks"].values():
        task["prompts"] = str(ROOT / task["prompts"])
    raw["methods"]["integrated_gradients"]["steps"] = 4
    raw["methods"]["prompt_voted"]["samples"] = 2
    for method in raw["methods"].values():
        if method["kind"] == "prompt":
            method["max_new_tokens"] = 6
    raw["study"] |= {"methods": ["random", "saliency_l2", "human"], "budgets": ["top_var", "top_ratio_20"]}
    for name in ("random", "saliency_l2", "human"):
        found = [
            rationale_row(row.id, scores=[math.sin(place + len(name)) for place in range(len(row.words))])
            if name != "human"
            else rationale_row(row.id, selected=list(row.rationale))
            for row in rows
        ]
        write_table(folder / f"{name}.parquet", found, RATIONALES, {})
    made = Shared(folder, tiny_card(), StudyPlan(config_checks.parse(raw)))
    for stage, table in CASES:
        made.run(stage, table, ALL)
    return made


class Shared:
    """The files of one corpus and model, and runs of the stages on them."""

    def __init__(self, folder, card, plan):
        self.folder, self.card, self.plan = folder, card, plan

    def command(self, stage, table, out, memo):
        """What a rule would write, below ``out``, and the outputs."""
        corpus, model = "movie_reviews", "smollm2-135m-instruct"
        spec = {
            "evidence": lambda: self.plan.evidence(corpus, model),
            "attributions": lambda: self.plan.attributions(corpus, model, table),
            "replies": lambda: self.plan.replies(corpus, model, table),
            "perturb": lambda: self.plan.perturbation(corpus, model),
        }[stage]()
        outputs = {"output": out / f"{table}.parquet"}
        if stage == "evidence":
            outputs = {name: out / f"{name}.parquet" for name in ("predictions", "gradients", "attention")}
        command = ["--spec", spec, "--test", self.folder / "test.parquet", "--model", self.card, "--memo", memo]
        # Batches that shards of another number cannot have.
        command += ["--batch-tokens", "700", "--batch-rows", "4"]
        if stage == "replies":
            command += ["--predictions", self.cell(ALL) / "predictions.parquet"]
        if stage == "perturb":
            methods = self.plan.study.methods
            command += ["--rationales", *(self.folder / f"{name}.parquet" for name in methods)]
        for name, path in outputs.items():
            command += [f"--{name}", path]
        return [str(word) for word in command], list(outputs.values())

    def cell(self, shards):
        """Where the tables of runs in so many shards are."""
        return self.folder / f"of-{shards}"

    def run(self, stage, table, shards, memo=None):
        """Run a stage in shards and merge them; its tables."""
        memo = memo or self.folder / f"memo-{shards}"
        main = importlib.import_module(f"rationale_eval.{STAGES[stage][0]}").main
        whole, outputs = self.command(stage, table, self.cell(shards), memo)
        if shards == ALL:
            main(whole)
            return outputs
        parts = []
        for number in range(1, shards + 1):
            part = self.cell(shards) / f"shards/{number}-of-{shards}"
            command, made = self.command(stage, table, part, memo)
            main(["--shard", f"{number}-of-{shards}", *command])
            parts += made
        merge.main(["--parts", *map(str, parts), *whole])
        return outputs


CASES = [
    ("evidence", "predictions"),
    ("attributions", "integrated_gradients"),
    ("attributions", "leave_one_out"),
    ("replies", "prompt_unbound"),
    ("replies", "prompt_voted"),
    ("replies", "prompt_before"),
    ("perturb", "perturbations"),
]


@pytest.mark.parametrize("shards", [2, ROWS + 1])
@pytest.mark.parametrize(("stage", "table"), CASES, ids=[table for _, table in CASES])
def test_merged_tables_are_those_of_one_job(stage, table, shards, shared):
    for path in shared.run(stage, table, shards):
        assert differences(path, shared.cell(ALL) / path.name) == []
        assert provenance(path) == provenance(shared.cell(ALL) / path.name)


@pytest.mark.parametrize(("stage", "table"), CASES, ids=[table for _, table in CASES])
def test_another_number_of_shards_computes_nothing_that_the_memo_holds(stage, table, shared, capsys):
    capsys.readouterr()
    paths = shared.run(stage, table, 3, memo=shared.folder / f"memo-{ALL}")
    log = capsys.readouterr().err
    assert log.count(" in the memo, 0 to compute") >= 3
    assert log.count(" to compute\n") == log.count(" in the memo, 0 to compute\n")
    for path in paths:
        # Numbers out of the memo are the very same.
        assert columns(path) == columns(shared.cell(ALL) / path.name)


@pytest.mark.parametrize(
    ("shard", "seen", "expected"),
    [
        ("1-of-4", 2, [0]),
        ("2-of-4", 2, [1]),
        ("3-of-4", 2, [0]),
        ("2-of-4", 1, []),
        ("2-of-4", 0, []),
        ("1-of-1", 2, []),
    ],
)
def test_shards_on_one_machine_use_its_gpus_in_turn(shard, seen, expected, monkeypatch):
    chosen = []
    monkeypatch.setattr("torch.cuda.device_count", lambda: seen)
    monkeypatch.setattr("torch.cuda.set_device", chosen.append)
    own_gpus(parse(shard), 1)
    assert chosen == expected
