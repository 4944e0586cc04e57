"""Models whose files are hostile: templates that never end, configs that ask for kernels or for a million layers."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import time

import pytest
import tiny_models
from rationale_eval.bounds import OverLimitsError, bounded
from rationale_eval.errors import UserError
from rationale_eval.models import chat, loading
from rationale_eval.models.chat import Chat
from rationale_eval.models.loading import load
from rationale_eval.models.prepare import card as card_of
from rationale_eval.models.prepare import link_folder
from rationale_eval.tables import write_json
from transformers import PreTrainedTokenizerFast

LOOP = "{% for i in range(99999) %}"
TEMPLATES = {
    "nested loops": LOOP * 3 + "{% endfor %}" * 3 + "{{ messages[-1].content }}",
    "a long word": "{{ 'x' * 99999999999 }}{{ messages[-1].content }}",
    "a wide column": "{{ messages[-1].content.center(9999999999) }}",
    "words of words": "{% set ns = namespace(x='ab') %}"
    + LOOP
    + "{% set ns.x = ns.x + ns.x %}{% endfor %}{{ messages[-1].content }}",
    "a large power": "{{ (9 ** (9 ** 9)) % 2 }}{{ messages[-1].content }}",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.make_tiny_llama(tmp_path_factory.mktemp("hostile") / "own")


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES.keys())
def test_a_template_that_takes_all_there_is_is_stopped(template, folder, monkeypatch):
    monkeypatch.setattr(chat, "SECONDS", 0.5)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.chat_template = template
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"the model's chat template (takes more|refuses)"):
        Chat(tokenizer, None)
    assert time.monotonic() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < (1 << 20)  # KiB


@pytest.mark.parametrize(
    "template",
    [
        "{{ 1/0 }}",
        "{{ 'a'.split('') }}",
        "{{ 2.0 ** 5000 }}",
        "{% for i in range(200000) %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% if 1 %}" * 120 + "{% endif %}" * 120,
        "{{ 'é'.encode('ascii') }}",
        "{{ 10 ** 6000 }}",
    ],
)
def test_a_template_that_fails_in_any_way_is_one_message(template, folder):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.chat_template = template
    with pytest.raises(UserError, match="the model's chat template refuses the conversation"):
        Chat(tokenizer, None)


def test_a_template_cannot_reach_out_of_its_sandbox(folder):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.chat_template = "{{ messages.__class__.__mro__[1].__subclasses__() }}{{ messages[-1].content }}"
    with pytest.raises(UserError, match="the model's chat template refuses the conversation"):
        Chat(tokenizer, None)


def deaf():
    """Catches all that it can."""
    for _ in range(10**9):
        with contextlib.suppress(Exception):
            sum(range(100))


def test_bounds_hold_no_longer_than_they_should():
    before = resource.getrlimit(resource.RLIMIT_DATA), signal.getsignal(signal.SIGALRM)
    with pytest.raises(OverLimitsError, match="more than 64 MiB of memory"), bounded(5, 64 << 20):
        bytearray(1 << 30)
    with pytest.raises(OverLimitsError, match="more time"), bounded(0.1, 64 << 20):
        deaf()
    with bounded(0.1, 64 << 20):
        pass
    time.sleep(0.2)
    assert before == (resource.getrlimit(resource.RLIMIT_DATA), signal.getsignal(signal.SIGALRM))
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def described(folder, target, change):
    """The card of the model with the entries ``change`` in its config.json, prepared in ``target``."""
    source = target / "source"
    source.mkdir()
    for path in folder.iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    config = json.loads((source / "config.json").read_text()) | change
    (source / "config.json").write_text(json.dumps(config))
    link_folder(source, target / "snapshot")
    write_json(target / "card.json", card_of({"name": "own", "source": {}}, target / "snapshot"))
    return target / "card.json"


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "_attn_implementation_internal"])
def test_no_kernel_that_a_config_names_is_fetched(key, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "transformers.modeling_utils.lazy_import_flash_attention", lambda *_, **__: pytest.fail("asked")
    )
    loaded = load(described(folder, tmp_path, {key: "someone/kernel-of-their-own"}), "float32")
    assert loaded.model.config._attn_implementation in ("sdpa", "eager")


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 10**9},
        {"n_layer": 10**6},
        {"num_local_experts": 10**7},
        {"text_config": {"num_hidden_layers": 10**9}},
        {"num_hidden_layers": 1e9},
        {"parts": [{"deep": {"num_hidden_layers": 10**9}}]},
    ],
)
def test_more_layers_than_the_weights_can_be_of_are_refused(change, folder, tmp_path):
    (key,) = change
    key = key if key not in ("text_config", "parts") else "num_hidden_layers"
    with pytest.raises(UserError, match=rf"config.json has {key} [\d,.]+, but the weights are \d+ tensors"):
        described(folder, tmp_path, change)


def test_numbers_that_count_no_modules_are_no_matter(folder, tmp_path):
    """As in configs of Doge, whose experts are rows of an embedding and are counted where there are none."""
    assert described(folder, tmp_path, {"num_experts": 16_384, "max_position_embeddings": 10**6, "vocab_size_": 10**9})


def test_a_config_that_lists_millions_is_stopped(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "CONFIG_SECONDS", 1.0)
    with pytest.raises(UserError, match=r"its config\.json takes more (time|than)"):
        load(described(folder, tmp_path, {"num_labels": 10**9}), "float32")
