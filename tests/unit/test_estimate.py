"""The estimate of what a study takes: counted by hand for a few rows, and against what the stages then ask."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import loopback_api
import pytest
import yaml
from rationale_eval import estimate
from rationale_eval.apis import predictions
from rationale_eval.config_files import merged
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.errors import UserError
from rationale_eval.study import StudyPlan

ROOT = Path(__file__).parents[2]
PROMPT = "Classify the sentiment of the text as positive or negative.\n\nText: "
TEXTS = ["A lovely film.", "A dreadful, tedious meal in the old harbour."]
STUDY = {
    "results_dir": "results-here",
    "memo_dir": "memo-here",
    "models": {
        "asked": {
            "source": {"api": "http://127.0.0.1:9/v1", "model": loopback_api.MODEL, "key": "FAKE_KEY"},
            "price": {"input": 10.0, "output": 30.0},
            "budget": {"requests": 20},
            "limits": {"requests_per_minute": 6},
        },
        "local-7b": {"source": {"path": "nowhere"}},
    },
    "methods": {
        "samples": {"kind": "prompt", "strategy": "unbound", "samples": 3, "temperature": 1.0},
        "integrated": {"kind": "integrated_gradients", "aggregation": "sum", "steps": 10, "max_steps": 50},
    },
    "faithfulness": {"aopc_ratios": [], "curve_ratios": [0.5], "random_seeds": [0]},
    "study": {
        "corpora": ["editorials"],
        "models": ["asked", "local-7b"],
        "checkpoints": ["base", 1, 2],
        "methods": ["saliency_l2", "integrated", "prompt_guided", "samples", "random", "human"],
        "budgets": ["top_var"],
        "not_available": "show",
    },
}


@pytest.fixture
def here(project):
    """``project`` with the study in it."""
    write(STUDY)
    return project


def write(study: dict[str, Any]) -> None:
    Path("study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")


def lines(capsys, *arguments) -> dict[str, list[str]]:
    """The printed rows by model and stage: the columns after these."""
    estimate.main(["--configfile", "study.yaml", *arguments])
    found, model = {}, ""
    for line in capsys.readouterr().out.splitlines():
        if line and not line.startswith(" "):
            model = line.split(":")[0]
        elif line.startswith("  editorials"):
            stage = line[28:56].strip()
            found[f"{model} {stage}"] = line[56:].replace(",", "").split()
    return found


def prepare() -> None:
    for side in ("train", "test"):
        rows = [
            Instance(
                str(place),
                label,
                {"text": text},
                whitespace_words([text]),
                (True,) + (False,) * (len(text.split()) - 1),
            )
            for place, (text, label) in enumerate(zip(TEXTS, ("positive", "negative"), strict=True))
        ]
        write_instances(Path(f"results-here/corpora/editorials/{side}.parquet"), rows, {})


def test_prepared_rows_are_counted_as_they_are(here, capsys):
    prepare()
    found = lines(capsys)

    tokens = sum(math.ceil(len(PROMPT + text) / 4) + 8 for text in TEXTS)
    assert found["asked predictions"] == ["2", str(tokens), str(2 * 16), f"{(tokens * 10 + 32 * 30) / 1e6:.2f}"]
    assert found["asked replies prompt_guided"][0] == "2"
    assert found["asked replies samples"][0] == "6"
    # prompt_guided as given, kept too: 2, and cut to the main budget: 2; samples are votes, cut to it: 2; human: 2; the
    # same for random words of equal number: 8; random: 3 draws, masked and kept: 6, and 2; all words: 1. Of saliency
    # and of curves nothing.
    assert found["asked perturb"][:2] == [str(2 * 25), str(25 * tokens)]


def test_a_model_that_is_opened_is_counted_in_operations(here, capsys):
    prepare()
    found = lines(capsys, "--tflops", "0.001", "--cpu-tflops", "0.0001")
    passes, tokens, hours, on_cpu = found["local-7b evidence"]
    assert passes == str(3 * 2)  # three checkpoints
    assert float(on_cpu) == pytest.approx(10 * float(hours), rel=0.01)
    assert float(hours) == pytest.approx(4 * 7e9 * int(tokens) / 1e9 / 3600, rel=0.01)
    passes, tokens, hours, _ = found["local-7b finetune"]
    assert passes == str(2 * 2)  # two epochs
    assert float(hours) == pytest.approx(4 * 7e9 * int(tokens) / 1e9 / 3600, rel=0.01)
    # Sums over 10, 20 and 40 nodes: 80 would be more than 50.
    assert found["local-7b attributions integrated"][0] == str(3 * 2 * (10 + 20 + 40))
    passes, tokens, hours, _ = found["local-7b perturb"]
    # Saliency and integrated gradients too: 2 each, and 2 random ones; one point of the curves, masked and kept, of
    # these two, samples and 3 draws.
    assert passes == str(3 * 2 * (25 + 2 * 4 + 12))
    assert float(hours) == pytest.approx(2 * 7e9 * int(tokens) / 1e9 / 3600, rel=0.01)


def test_without_rows_those_of_the_configuration_are_taken(here, capsys):
    found = lines(capsys, "--words", "10", "editorials=20")
    assert found["asked predictions"][0] == "48"
    assert int(found["asked predictions"][1]) == 48 * (math.ceil((len(PROMPT) + 20 * 6 - 1) / 4) + 8)


def test_what_is_answered_is_not_counted_and_what_was_spent_is_shown(here, capsys, monkeypatch):
    prepare()
    monkeypatch.setenv("FAKE_KEY", loopback_api.KEY)
    with loopback_api.running() as api:
        made = json.loads(json.dumps(STUDY))
        made["models"]["asked"]["source"]["api"] = api.address
        write(made)
        plan: StudyPlan = merged([Path("study.yaml")])
        command = ["--spec", plan.predictions("editorials", "asked"), "--memo", "memo-here"]
        command += ["--limits", plan.limits("asked"), "--test", "results-here/corpora/editorials/test.parquet"]
        folder = "results-here/editorials/asked/base"
        command += ["--predictions", f"{folder}/predictions.parquet", "--answers", f"{folder}/answers.parquet"]
        # The limit of requests a minute would make the test slow.
        command[command.index("--limits") + 1] = plan.limits("asked").replace("6.0", "6000.0")
        predictions.main(command)
    capsys.readouterr()
    estimate.main(["--configfile", "study.yaml"])
    shown = capsys.readouterr().out
    assert "  editorials                predictions                                0 " in shown
    assert "spent so far, by the memo: 2 requests" in shown
    assert "models.asked.budget.requests (20) may end the study before it is done" in shown
    assert "hours by its limits" in shown


def test_bad_settings_are_told(here):
    for arguments in (["--words", "few"], ["--words", "other=3"], ["--rows", "0"], ["--tflops", "0"]):
        with pytest.raises(UserError, match=r"--(words|rows)"):
            estimate.main(["--configfile", "study.yaml", *arguments])
    with pytest.raises(UserError, match=r"nowhere\.yaml: cannot be read"):
        estimate.main(["--configfile", "nowhere.yaml"])
    assert not Path("memo-here").exists()
