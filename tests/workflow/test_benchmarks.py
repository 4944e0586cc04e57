"""The benchmarks run to their end on tiny models and made-up rows, and their contestants agree. No ratio is tested."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_models
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.evidence.schema import EVIDENCE
from rationale_eval.models.prepare import card, link_folder
from rationale_eval.rationales import stage as rationales
from rationale_eval.tables import write_json, write_table

ROOT = Path(__file__).resolve().parents[2]


def printed(name: str, *arguments: str | Path) -> str:
    command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # tiny models only lose by sharing their work
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_stage_of_the_report_is_timed() -> None:
    timed = dict(re.findall(r"^(\w+) +([\d.]+) s +\d+ MB", printed("report", "--instances", "60"), re.MULTILINE))
    stages = ["tables", "measure_tables", "cost", "claims", "latex", "latex_examples", "figures", "explorer", "page"]
    assert list(timed) == [*stages, "all"]


def test_perturbed_inputs_are_scored_as_by_a_loop_of_whole_passes(tmp_path: Path) -> None:
    text = {"text": "A film with great acting and no plot."}
    words = whitespace_words(text.values())
    marks = tuple(place == 3 for place in range(len(words)))
    write_instances(tmp_path / "test.parquet", [Instance(name, "positive", text, words, marks) for name in "ba"], {})
    model = tiny_models.make_tiny_llama(tmp_path / "tiny")
    found = printed("perturbation", "--model", model, "--test", tmp_path / "test.parquet")
    assert float(re.search(r"largest disagreement, .*: (\S+)", found)[1]) < 1e-4
    assert re.search(r"^2 rows, \d{3} inputs asked for", found, re.MULTILINE)


def test_without_punctuation_the_last_word_is_no_longer_chosen_for_its_full_stop(tmp_path: Path) -> None:
    """Each text ends in a full stop with the highest score; the marked word has the next."""
    cell, instances, evidence = tmp_path / "c/m/base", [], []
    for number, text in enumerate(["A very good film.", "So bad."]):
        words = whitespace_words([text])
        marks = tuple(place == len(words) - 2 for place in range(len(words)))
        instances.append(Instance(str(number), "yes", {"text": text}, words, marks))
        places = [(word.start, word.end) for word in words[:-1]]
        places += [(words[-1].start, words[-1].end - 1), (words[-1].end - 1, words[-1].end)]
        scores = [0.0] * (len(words) - 2) + [2.0, 1.0, 3.0]
        row = {"id": str(number), "status": "ok", "token_field": [0] * len(places)}
        row |= {"token_start": [start for start, _ in places], "token_end": [end for _, end in places]}
        evidence.append(dict.fromkeys(EVIDENCE["attention"].columns.names) | row | {"last": scores})
    write_instances(tmp_path / "corpora/c/test.parquet", instances, {})
    write_table(cell / "evidence/attention.parquet", evidence, EVIDENCE["attention"], {})
    method = {"kind": "attention", "statistic": "last", "aggregation": "max", "punctuation": "keep"}
    command = ["--spec", json.dumps(method), "--test", str(tmp_path / "corpora/c/test.parquet")]
    command += ["--evidence", str(cell / "evidence/attention.parquet")]
    rationales.main([*command, "--output", str(cell / "rationales/att.parquet")])
    (found,) = re.findall(r"^  att +2 (.*)$", printed("punctuation", tmp_path), re.MULTILINE)
    # One word of 4 and of 2: by chance an F1 of 1/4 and 1/2.
    assert re.search(r"-0.375 -> 0.625 .* 0.500 -> 1.000 +1.000 -> 0.000 +0.375$", found)


def test_completeness_doubles_the_steps_of_texts_that_lack_it(tmp_path: Path) -> None:
    texts = ["A film with great acting and no plot.", "Dull"]
    rows = [
        Instance(text, "positive", {"text": text}, whitespace_words([text]), (False,) * len(text.split()))
        for text in texts
    ]
    write_instances(tmp_path / "test.parquet", rows, {})
    link_folder(tiny_models.make_tiny_llama(tmp_path / "tiny"), tmp_path / "snapshot")
    write_json(tmp_path / "card.json", card({"name": "tiny", "source": {}}, tmp_path / "snapshot"))
    places = ("--card", tmp_path / "card.json", "--test", tmp_path / "test.parquet")
    found = printed("completeness", *places, "--steps", "4", "--max-steps", "16", "--tolerance", "1e-6")
    lines = [line.split() for line in found.splitlines()]
    assert [line[:2] for line in lines[1:4]] == [["4", "2"], ["8", "2"], ["16", "2"]]
    assert found.endswith("2 of 2 texts have a larger error than tolerated in the end\n")


def test_attributions_are_those_of_other_libraries() -> None:
    pytest.importorskip("inseq")
    found = printed("attribution", "--instances", "2", "--repeats", "1")
    apart = [float(end) for end in re.findall(r"^.*(?:captum|inseq) .* (\d\.\de[-+]\d\d)$", found, re.MULTILINE)]
    assert len(apart) == 6
    assert max(apart) < 1e-4


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("generation", ("--rounds", "1", "--prompts", "12", "--new-tokens", "16"), r"equal in all"),
        ("finetuning", ("--rows", "48", "--repeats", "1"), r"curves apart by at most \d\.\de-(0[6-9]|1\d)"),
        ("memory", ("--tokens", "512"), r"^ +512 +\d+ +\d+ +\d+ +0\.\d\d$"),
        ("api", ("--requests", "40", "--concurrency", "8", "--latency", "0.05"), r"at most 8 of 8 under way at a time"),
    ],
)
def test_other_benchmarks_find_what_they_measure(name: str, arguments: tuple[str, ...], said: str) -> None:
    assert re.search(said, printed(name, *arguments), re.MULTILINE)
