"""The configuration: methods, and what they need of the models and corpora of the study."""

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
