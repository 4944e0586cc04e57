"""Fixtures that several kinds of tests share. Models are made once for a test run, on the spot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import yaml

ROOT = Path(__file__).parents[1]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse to run where groups do not hold: all would pass, but each worker would make what a group shares."""
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
            raise pytest.UsageError(
                f"{item.nodeid}: pytest-xdist does not group tests with pytest {pytest.__version__}"
            )


def prepare(source: Path, folder: Path) -> Path:
    """What the ``model`` stage does with a model folder: link it beside a card. Returns the card."""
    from rationale_eval.models.prepare import card, link_folder
    from rationale_eval.tables import write_json

    link_folder(source, folder / "snapshot")
    spec = {"name": source.name, "source": {"path": str(source)}}
    write_json(folder / "card.json", card(spec, folder / "snapshot"))
    return folder / "card.json"


@pytest.fixture(scope="session")
def tiny_card(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``tiny_card(architecture, tokenizer)``: the card of a tiny model, made when first asked for."""
    import torch

    torch.set_num_threads(1)  # such small models only lose by sharing their work, all the more under pytest -n
    root = tmp_path_factory.mktemp("models")

    @cache
    def made(architecture: str, tokenizer: str) -> Path:
        name = f"{architecture}-{tokenizer}"
        return prepare(tiny_models.make_tiny(root / name, architecture, tokenizer), root / f"{name}-prepared")

    return lambda architecture="llama", tokenizer="byte_level": made(architecture, tokenizer)


@pytest.fixture(scope="session")
def smollm2_card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The card of the model of config.yaml, a trained one: got and prepared by the package's own stages.

    With RATIONALE_EVAL_SMOLLM2, a folder with that model in safetensors, nothing is fetched. Tests that use this are
    marked ``xdist_group("smollm2")``, so that one worker makes it once.
    """
    folder = tmp_path_factory.mktemp("smollm2")
    if given := os.environ.get("RATIONALE_EVAL_SMOLLM2"):
        return prepare(Path(given), folder)
    from rationale_eval import config_checks
    from rationale_eval.study import StudyPlan

    plan = StudyPlan(config_checks.parse(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))))
    (name,) = plan.study.models
    source = folder / plan.config.models[name].source.artifact
    _stage("fetch", "--spec", plan.fetch(source.name), "--output", source, offline="cannot be fetched here")
    card = folder / "card.json"
    made = ["--cache", folder / "gguf", "--snapshot", folder / "snapshot", "--card", card]
    _stage("model", "--spec", plan.model(name), "--source", source, *made)
    source.unlink()
    return card


@pytest.fixture(scope="session")
def smollm2_loaded(smollm2_card: Path) -> Any:
    """That model as the evidence stage uses it, attention recordable."""
    from rationale_eval.evidence import attention
    from rationale_eval.models.loading import load

    found = load(smollm2_card, "float32")
    attention.install(found.model)
    return found


def _stage(stage: str, *arguments: str | Path, offline: str = "") -> None:
    """Run a stage. If it fails the tests fail, or with ``offline`` are skipped with the last line of its message."""
    done = subprocess.run(
        [sys.executable, "-m", "rationale_eval", stage, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and offline:
        pytest.skip(f"SmolLM2 {offline}: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def tiny_loaded(tiny_card: Callable[..., Path]) -> Callable[..., Any]:
    """``tiny_loaded(architecture, tokenizer)``: the tiny model as the evidence stage uses it, attention recordable."""
    from rationale_eval.evidence import attention
    from rationale_eval.models.loading import load

    @cache
    def made(architecture: str, tokenizer: str) -> Any:
        found = load(tiny_card(architecture, tokenizer), "float32")
        attention.install(found.model)
        return found

    return lambda architecture="llama", tokenizer="byte_level": made(architecture, tokenizer)


@pytest.fixture(scope="session")
def smoke_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``snippets.tsv`` and ``lexicon.tsv`` of 60 rows."""
    return tiny_models.make_smoke_corpus(tmp_path_factory.mktemp("corpus"), rows=60)


@pytest.fixture
def prompt_file(tmp_path: Path) -> Callable[..., Path]:
    """``prompt_file(classify, verbalisers, fields)`` writes a prompt file."""

    def write(
        classify: str = "Text: {text}\nSentiment?",
        verbalisers: dict[str, str] | None = None,
        fields: tuple[str, ...] = ("text",),
    ) -> Path:
        path = tmp_path / "prompt.yaml"
        entry = {
            "version": 1,
            "fields": list(fields),
            "classify": classify,
            "verbalisers": verbalisers or {"negative": "negative", "positive": "positive"},
        }
        path.write_text(json.dumps(entry), encoding="utf-8")  # JSON is YAML
        return path

    return write


@pytest.fixture(scope="session")
def assert_close() -> Callable[..., None]:
    """``assert_close(found, expected)``: equal within 1e-4 of the scale of what is expected.

    ``scale_of`` gives that scale where ``expected`` are sums in which large values may cancel.
    """

    def check(found: Any, expected: Any, scale_of: Any = None) -> None:
        found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
        assert found.shape == expected.shape
        scale = np.abs(np.asarray(expected if scale_of is None else scale_of, dtype=float)).max()
        assert scale > 0, "a comparison with zeros shows nothing"
        assert np.abs(found - expected).max() <= 1e-4 * scale

    return check
