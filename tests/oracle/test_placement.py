"""Models whose layers are spread over several devices by accelerate.

There is one device here: what can be tested is that the layers, each behind accelerate's hooks, give what they give
without, and that too few or too small GPUs are told.
"""

from __future__ import annotations

import pytest
import torch
from accelerate import dispatch_model
from rationale_eval.errors import UserError
from rationale_eval.evidence import attention
from rationale_eval.models import loading
from rationale_eval.models.generation import generate
from rationale_eval.models.loading import load
from rationale_eval.models.placement import check_placed, spread
from rationale_eval.models.scoring import Prefix
from rationale_eval.models.stage_input import own_gpus
from rationale_eval.shards import Shard

PROMPTS = [(5, 6, 7, 8, 9), (5, 6, 7, 11, 12, 13, 14), (5, 6, 7, 20)]


def behind_hooks(loaded):
    """Each of the model's parts behind hooks that move its inputs to its device, as where there are several."""
    parts = {"model.embed_tokens": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}
    layers = {f"model.layers.{index}": "cpu" for index in range(len(loaded.model.model.layers))}
    dispatch_model(loaded.model, {**parts, **layers}, force_hooks=True)
    assert all(hasattr(layer, "_hf_hook") for layer in loaded.model.model.layers)
    return loaded


def test_a_model_behind_hooks_says_and_sees_the_same(tiny_card):
    found = []
    for change in (lambda loaded: loaded, behind_hooks):
        loaded = change(load(tiny_card("llama", "byte_level"), "float32"))
        attention.install(loaded.model)
        prefix = Prefix(loaded, PROMPTS[0][:3])
        replies = generate(loaded, prefix, PROMPTS, 6, lambda text: False, 2)
        recorder = attention.AttentionRecorder(torch.tensor([4]))
        embeddings = loaded.model.get_input_embeddings()(torch.tensor([PROMPTS[0]])).detach().requires_grad_()
        with attention.recording(recorder):
            logits = loaded.model(inputs_embeds=embeddings).logits
        (gradient,) = torch.autograd.grad(logits[0, -1, 3], embeddings)
        found.append((replies, logits.detach(), gradient, recorder.statistics()))
    (replies, logits, gradient, seen), hooked = found
    assert hooked[0] == replies
    assert torch.equal(hooked[1], logits)
    assert torch.equal(hooked[2], gradient)
    assert all(torch.equal(hooked[3][name], values) for name, values in seen.items())


def test_without_a_gpu_the_model_is_on_the_cpu(tiny_card, monkeypatch):
    monkeypatch.setattr(loading.torch.cuda, "is_available", lambda: False)
    assert load(tiny_card("llama", "byte_level"), "float32", gpus=4).device.type == "cpu"


def test_too_few_gpus_are_told(tiny_card, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=r"models\.llama-byte_level\.gpus is 4, but this job sees 2 of them"):
        load(tiny_card("llama", "byte_level"), "float32", gpus=4)


def faked(monkeypatch, count):
    """A machine of so many GPUs, of which the first is current until another is chosen."""
    current = [0]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: current.__setitem__(0, number))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current[0])
    memory = {number: 10 * (number + 1) for number in range(count)}
    monkeypatch.setattr("accelerate.utils.get_max_memory", lambda: memory | {"cpu": 99})


def test_only_the_first_gpus_are_taken(monkeypatch):
    faked(monkeypatch, 3)
    assert spread("large", 2) == {"device_map": "auto", "max_memory": {0: 10, 1: 20}}


@pytest.mark.parametrize(
    ("found", "gpus", "expected"),
    [
        (4, 2, [[0, 1], [2, 3], [0, 1]]),
        (5, 2, [[0, 1], [2, 3], [0, 1]]),
        (2, 2, [[0, 1], [0, 1], [0, 1]]),
        (8, 3, [[0, 1, 2], [3, 4, 5], [0, 1, 2]]),
    ],
)
def test_shards_spread_over_sets_of_gpus_in_turn(monkeypatch, found, gpus, expected):
    taken = []
    for number in (1, 2, 3):
        faked(monkeypatch, found)
        own_gpus(Shard(number, 3), gpus)
        taken.append(list(spread("large", gpus)["max_memory"]))
    assert taken == expected


def test_a_model_that_does_not_fit_is_told():
    check_placed("large", {"model.layers.0": 0, "lm_head": 1})
    with pytest.raises(UserError, match=r"models\.large: does not fit on its GPUs .*raise `gpus`"):
        check_placed("large", {"model.layers.0": 0, "lm_head": "disk"})
