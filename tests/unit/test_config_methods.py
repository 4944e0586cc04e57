"""The configuration: methods, what they need of the models and corpora of the study, and values not given."""

from __future__ import annotations

from typing import Any

import pytest
from config_faults import faults_of
from rationale_eval.config_checks import parse


@pytest.mark.parametrize("evidence", ["gradients", "attention"])
def test_gradient_x_attention_needs_both(evidence: str, raw: dict[str, Any]) -> None:
    raw["models"]["smollm2-135m-instruct"]["evidence"] = [evidence]
    missing = "attention" if evidence == "gradients" else "gradients"
    said = faults_of(raw, ["study", "methods"], ["gradient_x_attention", "prompt_unbound", "prompt_guided"])
    assert f"study.methods[0]: 'gradient_x_attention' needs {missing}, which model 'smollm2-135m-instruct'" in said


def test_a_foil_may_be_asked_for_in_a_contrastive_corpus(raw: dict[str, Any]) -> None:
    raw["methods"]["saliency_l2"]["target"] = "foil"
    raw["study"]["corpora"] = ["medical_bios_contrastive"]
    assert parse(raw).methods["saliency_l2"].target == "foil"


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        ({"kind": "gradients", "statistic": "gxi_dot"}, {"punctuation": "drop", "of": "log_odds", "target": "auto"}),
        ({"kind": "attention", "statistic": "last"}, {"punctuation": "drop"}),
        ({"kind": "gradient_x_attention"}, {"punctuation": "drop", "of": "log_odds", "target": "auto"}),
        # Words add up as tokens do, so a full stop counts.
        (
            {"kind": "integrated_gradients"},
            {"punctuation": "keep", "of": "log_odds", "target": "auto", "tolerance": 0.05, "steps": 40},
        ),
        ({"kind": "ablation"}, {"of": "log_odds", "target": "auto"}),
    ],
)
def test_what_a_method_leaves_out(entry: dict[str, Any], values: dict[str, Any], raw: dict[str, Any]) -> None:
    raw["methods"]["mine"] = entry | ({"aggregation": "sum"} if entry["kind"] != "ablation" else {})
    found = parse(raw).methods["mine"].model_dump()
    assert {name: found[name] for name in values} == values


def test_when_measures_say_nothing_and_which_rises_count_unless_the_study_says_otherwise(raw: dict[str, Any]) -> None:
    del raw["validity"], raw["claims"]
    config = parse(raw)
    assert config.validity.model_dump() == {
        "max_majority_share": 0.95,
        "min_usable_replies": 0.5,
        "min_label_mass": 0.1,
        "max_completeness_error": 0.1,
    }
    assert (config.claims.alpha, config.claims.margins.f1_corrected) == (0.05, 0.02)
