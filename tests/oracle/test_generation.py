"""Batched generation against transformers' own, one prompt at a time; the stage that asks and keeps replies."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
import torch
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence import replies as replies_stage
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.memo import Memo
from rationale_eval.models.generation import LENGTH, LIST_END, STOP, end_tokens, generate
from rationale_eval.models.scoring import Prefix, shared_tokens
from rationale_eval.models.slots import Slots
from rationale_eval.models.task import task_slice
from rationale_eval.tables import read_table, write_table
from tiny_architectures import ARCHITECTURES
from transformers import BloomConfig, BloomForCausalLM

TEXTS = ["the garden was warm", "a bleak and hollow novel by the lake", "fine", "such a lovely evening with friends"]
NEW = 24


def never(_: str) -> bool:
    return False


def prompts_of(tokenizer) -> list[tuple[int, ...]]:
    return [tuple(tokenizer(f"Name the words. Text: {text}", add_special_tokens=False)["input_ids"]) for text in TEXTS]


def alone(loaded, prompt) -> tuple[int, ...]:
    """The greedy reply to one prompt by transformers, without its end."""
    ids = torch.tensor([prompt])
    with torch.no_grad():
        output = loaded.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=False)
    reply = output[0, len(prompt) :].tolist()
    ends = [place for place, token in enumerate(reply) if token in end_tokens(loaded)]
    return tuple(reply[: ends[0]] if ends else reply)


def same_as_alone(loaded, prompts, shared, rows: int, expected=None) -> None:
    """In ``rows`` slots each prompt gets the reply that transformers gives to it alone, ``expected`` if it is known."""
    found = generate(loaded, Prefix(loaded, shared), prompts, NEW, never, rows)
    assert [reply.tokens for reply in found] == (expected or [alone(loaded, prompt) for prompt in prompts])
    for reply in found:
        assert reply.finish == (LENGTH if len(reply.tokens) == NEW else STOP)


@pytest.mark.parametrize("with_prefix", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize(
    ("architecture", "tokenizer"), [("llama", "sentencepiece"), *((name, "byte_level") for name in ARCHITECTURES)]
)
def test_each_prompt_gets_what_it_would_get_alone(architecture, tokenizer, rows, with_prefix, tiny_loaded):
    loaded = tiny_loaded(architecture, tokenizer)
    prompts = prompts_of(loaded.tokenizer)
    shared = shared_tokens(prompts) if with_prefix else ()
    assert bool(shared) == with_prefix
    same_as_alone(loaded, prompts, shared, rows)


@pytest.mark.parametrize("with_prefix", [True, False])
def test_a_model_that_makes_positions_from_its_mask_has_the_pass_to_itself(with_prefix, tiny_loaded):
    llama = tiny_loaded()
    torch.manual_seed(0)
    config = BloomConfig(vocab_size=len(llama.tokenizer), hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3)
    model = BloomForCausalLM(config).eval()
    model.generation_config.eos_token_id = llama.tokenizer.eos_token_id
    loaded = replace(llama, model=model)
    prompts = prompts_of(loaded.tokenizer)
    same_as_alone(loaded, prompts, shared_tokens(prompts) if with_prefix else (), rows=4)


@pytest.mark.xdist_group("smollm2")
def test_a_trained_model_says_the_same_in_a_batch(smollm2_loaded):
    prompts = prompts_of(smollm2_loaded.tokenizer)
    expected = [alone(smollm2_loaded, prompt) for prompt in prompts]
    for rows in (2, 4):
        same_as_alone(smollm2_loaded, prompts, shared_tokens(prompts), rows, expected)


def test_prompts_that_wait_take_the_slots_of_replies_that_are_done(tiny_loaded, monkeypatch):
    loaded = tiny_loaded()
    prompts = prompts_of(loaded.tokenizer) * 3
    admitted, steps = [], []
    for name, said in (("admit", admitted), ("next", steps)):
        plain = getattr(Slots, name)
        monkeypatch.setattr(Slots, name, lambda *a, plain=plain, said=said: (said.append(list(a[1])), plain(*a))[1])
    lengths = iter([2, 9, 2, 9] * 3)
    limits = {prompt: next(lengths) for prompt in dict.fromkeys(prompts)}
    whole = {prompt: alone(loaded, prompt) for prompt in limits}
    texts = {loaded.tokenizer.decode(whole[prompt][:limit]) for prompt, limit in limits.items()}
    found = generate(loaded, Prefix(loaded, ()), prompts, NEW, lambda text: text in texts, 4)
    assert [reply.tokens for reply in found] == [whole[prompt][: limits[prompt]] for prompt in prompts]
    sizes = [len(slots) for slots in admitted]
    assert (sizes[0], sum(sizes)) == (4, len(prompts))
    assert max(sizes[1:]) < 4
    assert max(map(len, steps)) == 4


def test_a_reply_ends_where_its_text_says_so_and_the_others_go_on(tiny_loaded):
    loaded = tiny_loaded()
    prompts = prompts_of(loaded.tokenizer)
    prefix = Prefix(loaded, shared_tokens(prompts))
    whole = generate(loaded, prefix, prompts, NEW, never, 4)
    first = loaded.tokenizer.decode(whole[0].tokens[:3], skip_special_tokens=True)
    cut = generate(loaded, prefix, prompts, NEW, lambda text: text == first, 4)
    assert (cut[0].tokens, cut[0].finish) == (whole[0].tokens[:3], LIST_END)
    for before, after in zip(whole[1:], cut[1:], strict=True):
        assert after.tokens == before.tokens or after.finish == LIST_END


def test_logits_that_are_no_numbers_choose_no_token(tiny_loaded):
    """As float16 gives where it overflows."""
    loaded = replace(tiny_loaded(), model=copy.deepcopy(tiny_loaded().model))
    loaded.model.get_input_embeddings().weight.fill_(torch.nan)
    with pytest.raises(UserError, match="not finite"):
        generate(loaded, Prefix(loaded, ()), prompts_of(loaded.tokenizer), NEW, never, 4)


PROMPTS = """
version: 1
fields: [text]
classify: "Text: {text}"
verbalisers: {negative: negative, neutral: mixed, positive: positive}
explain:
  unbound: "Why {label}? {text}"
  guided: "Which {k} words say {label}? {text}"
  contrast: "Why {label} rather than {foil}? {text}"
"""


@pytest.fixture
def ask(tmp_path, tiny_card):
    """``ask(strategy, max_words, pair)``: run the stage on three instances predicted "negative"; its rows by id.

    ``pair`` is their label and their foil.
    """
    golds = {"two": (True, True, False), "none": (False, False, False), "lost": (True, False, False)}
    predictions = [
        {
            "id": name,
            "status": "too_long" if name == "lost" else "ok",
            "gold": "positive",
            "predicted": None if name == "lost" else "negative",
            "labels": ["negative", "neutral", "positive"],
            "scores": None,
            "probabilities": None,
            "tokens": 9,
        }
        for name in golds
    ]
    write_table(tmp_path / "predictions.parquet", predictions, PREDICTIONS, {})
    (tmp_path / "prompts.yaml").write_text(PROMPTS, encoding="utf-8")

    def run(strategy: str, max_words: int = 20, pair: tuple[str, str | None] = ("positive", None)) -> dict[str, dict]:
        (label, foil), text = pair, "warm and fine"
        instances = [
            Instance(name, label, {"text": text}, whitespace_words([text]), gold, foil=foil)
            for name, gold in golds.items()
        ]
        write_instances(tmp_path / "test.parquet", instances, {})
        asking = {"dtype": "float32", "system_prompt": "Be brief.", "prompt_style": "auto"}
        task = task_slice(tmp_path / "prompts.yaml", None, [strategy])
        spec = {"asking": asking, "task": task, "strategy": strategy, "max_words": max_words, "max_new_tokens": 6}
        spec |= {"gives": "words", "order": "after", "chat": "separate", "shots": {"count": 0, "seed": 0}}
        spec |= {"samples": 1, "temperature": None, "top_p": 1.0, "seed": 0}
        command = ["--spec", json.dumps(spec), "--test", str(tmp_path / "test.parquet")]
        command += ["--predictions", str(tmp_path / "predictions.parquet"), "--model", str(tiny_card())]
        command += ["--memo", str(tmp_path / "memo"), "--batch-tokens", "512"]
        command += ["--batch-rows", "4", "--output", str(tmp_path / "out.parquet")]
        replies_stage.main(command)
        return {row["id"]: row for row in read_table(tmp_path / "out.parquet", REPLIES)}

    return run


def test_the_model_is_told_its_own_label_and_every_request_is_kept(ask):
    rows = ask("unbound")
    assert {name: row["status"] for name, row in rows.items()} == {"two": "ok", "none": "ok", "lost": "too_long"}
    system, user = json.loads(rows["two"]["request"])
    assert system == {"role": "system", "content": "Be brief."}
    assert user == {"role": "user", "content": "Why negative? warm and fine"}
    assert rows["two"]["asked"] is None
    assert rows["two"]["reply_tokens"] <= 6
    assert rows["two"]["finish"] in (STOP, LENGTH, LIST_END)
    assert rows["lost"]["reply"] is None


def test_as_many_words_are_asked_for_as_people_marked_up_to_the_cap(ask):
    rows = ask("guided")
    assert (rows["two"]["asked"], rows["two"]["capped"]) == (2, False)
    assert json.loads(rows["two"]["request"])[1]["content"] == "Which 2 words say negative? warm and fine"
    assert rows["none"]["status"] == "no_gold"
    capped = ask("guided", max_words=1)
    assert (capped["two"]["asked"], capped["two"]["capped"]) == (1, True)


@pytest.mark.parametrize(
    ("pair", "against"),
    [(("negative", "neutral"), "mixed"), (("positive", "negative"), "positive"), (("positive", "neutral"), "mixed")],
    ids=["label-predicted", "foil-predicted", "neither-predicted"],
)
def test_a_contrastive_question_names_the_other_label_of_the_pair(ask, pair, against):
    rows = ask("contrast", pair=pair)
    content = json.loads(rows["two"]["request"])[1]["content"]
    assert content == f"Why negative rather than {against}? warm and fine"
    assert rows["two"]["label"] == "negative"


def test_a_contrastive_question_without_a_foil_is_refused(ask):
    with pytest.raises(UserError, match="instance 'two' has no foil, which the explanation prompt 'contrast' names"):
        ask("contrast")


def test_a_second_run_asks_nothing(ask, monkeypatch):
    first = ask("guided")
    monkeypatch.setattr(Memo, "put", lambda *_: pytest.fail("a reply was asked for again"))
    assert ask("guided") == first
