"""Prompts against the tokenizer and the template themselves: offsets, special tokens, the start of the answer.

By chat and as plain text to go on from, with and without solved examples.
"""

from __future__ import annotations

import copy
import functools
import json
from datetime import datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rationale_eval.corpora.instances import whitespace_words
from rationale_eval.errors import UserError
from rationale_eval.faithfulness.masking import mask_words
from rationale_eval.models.asking import asking
from rationale_eval.models.chat import PINNED_DATE
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.task import load_task
from rationale_eval.rationales.aggregation import words_from_tokens

TOKENIZERS = ("byte_level", "sentencepiece")
both_tokenizers = pytest.mark.parametrize("kind", TOKENIZERS)
both_styles = pytest.mark.parametrize("style", ["chat", "completion"])
NLI = "Premise: {premise}\nHypothesis: {hypothesis}\nAnswer?"
ANSWERS = {"no": "negative", "yes": "positive"}
SHOTS = [({"text": "a bleak film"}, "no"), ({"text": "a superb meal!"}, "yes")]


@pytest.fixture(scope="module")
def tokenizer_of(tiny_card):
    """``tokenizer_of(kind)``: the tokenizer as a model's folder gives it, a fresh copy that may be changed."""
    from transformers import AutoTokenizer

    load = functools.cache(lambda kind: AutoTokenizer.from_pretrained(tiny_card("llama", kind).parent / "snapshot"))
    return lambda kind: copy.deepcopy(load(kind))


@pytest.fixture(scope="module")
def encoder_of(tokenizer_of, tmp_path_factory):
    """``encoder_of(kind, classify, fields, ...)``, made once: examples of hypothesis share it."""
    folder = tmp_path_factory.mktemp("prompts")

    @functools.cache
    def encoder(kind, classify="Text: {text}\nSentiment?", fields=("text",), system="Be brief.", style="auto", shots=0):
        path = folder / "prompt.yaml"
        entry = {"version": 1, "fields": list(fields), "classify": classify, "verbalisers": ANSWERS}
        path.write_text(json.dumps(entry), encoding="utf-8")
        return PromptEncoder(tokenizer_of(kind), load_task(path), system, style, SHOTS[:shots])

    return encoder


def covered(prompt, field):
    """The characters of ``field`` that the prompt's content tokens say they stand for."""
    return {place for token in prompt.content if token.field == field for place in range(token.start, token.end)}


def check_offsets(encoder, tokenizer, fields):
    """Compare the content tokens of a prompt with the tokenizer's own map from characters to tokens."""
    (prompt,) = encoder.encode([fields])
    whole = tokenizer(prompt.text, add_special_tokens=False)
    assert list(prompt.tokens) == whole["input_ids"][: len(prompt.tokens)]
    start = 0
    for index, text in enumerate(fields.values()):
        start = prompt.text.index(text, start)
        tokens = [token for token in prompt.content if token.field == index]
        assert [token.position for token in tokens] == sorted({token.position for token in tokens})
        for token in tokens:
            assert 0 <= token.start < token.end <= len(text)
        for place, character in enumerate(text):
            if character.isspace():
                continue
            at = whole.char_to_token(start + place)
            positions = [token.position for token in tokens if token.start <= place < token.end]
            assert at in positions, f"character {place} of {text!r} is token {at}, not one of {positions}"
        start += len(text)
    return prompt


def test_a_worked_prompt_has_the_offsets_that_one_reads_off_it(encoder_of, tokenizer_of):
    tokenizer = tokenizer_of("byte_level")
    (prompt,) = encoder_of("byte_level").encode([{"text": "A lovely film"}])
    found = [
        (tokenizer.convert_ids_to_tokens(prompt.tokens[token.position]), token.start, token.end)
        for token in prompt.content
    ]
    assert found[-2:] == [("Ġlovely", 1, 8), ("Ġfilm", 8, 13)]
    assert next((token.start, token.end) for token in prompt.content)[0] == 0
    assert prompt.text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nText: A lovely film\nSentiment?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert tokenizer.decode(prompt.tokens) == prompt.text


@both_tokenizers
@both_styles
@pytest.mark.parametrize(
    "text",
    [
        "plain words only",
        "“curly” ‘quotes’ — and a dash…",
        "Ответ был очень тёплый",
        "東京の映画は素晴らしい",
        "فيلم جميل جدا",
        "😀👩‍👩‍👧 family 🇳🇱 flags é combined é",
        "tabs\tand  double   spaces\nand lines",
        "<s[INST] almost markup </s",
        "3.14 don't e-mail@x.y :-) {braces} %s",
    ],
)
def test_offsets_point_back_at_the_text(encoder_of, tokenizer_of, kind, style, text):
    prompt = check_offsets(encoder_of(kind, style=style), tokenizer_of(kind), {"text": text})
    assert covered(prompt, 0) >= {place for place, character in enumerate(text) if not character.isspace()}
    assert not prompt.markup


@both_tokenizers
@both_styles
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1, max_size=30))
@example(text="\u0000")
@example(text="▁▁")
@example(text="\u200b")
@example(text="a\u00adb \ufeff")
def test_offsets_point_back_at_any_text(encoder_of, tokenizer_of, kind, style, text):
    encoder = encoder_of(kind, style=style, shots=2)
    (prompt,) = encoder.encode([{"text": text}])
    words = whitespace_words([text])
    places = [(token.field, token.start, token.end) for token in prompt.content]
    scores = words_from_tokens(words, places, [1.0] * len(places), "max", "it")
    assert scores == [1.0] * len(words)
    if not prompt.markup:
        whole = tokenizer_of(kind)(prompt.text, add_special_tokens=False)["input_ids"]
        assert list(prompt.tokens) == whole[: len(prompt.tokens)]


@both_tokenizers
@both_styles
def test_fields_are_told_apart(encoder_of, tokenizer_of, kind, style):
    encoder = encoder_of(kind, NLI, ("premise", "hypothesis"), style=style)
    fields = {"premise": "A man plays a guitar.", "hypothesis": "A man plays a guitar."}
    prompt = check_offsets(encoder, tokenizer_of(kind), fields)
    assert covered(prompt, 0) >= set(range(1))
    assert covered(prompt, 1)
    positions = {index: [token.position for token in prompt.content if token.field == index] for index in (0, 1)}
    assert max(positions[0]) < min(positions[1])


def test_fields_in_another_order_than_the_prompts_keep_their_numbers(encoder_of):
    encoder = encoder_of("byte_level", "H: {hypothesis}\nP: {premise}\nAnswer?", ("premise", "hypothesis"))
    (prompt,) = encoder.encode([{"premise": "sun", "hypothesis": "a film was stale"}])
    assert max(token.end for token in prompt.content if token.field == 0) == len("sun")
    assert max(token.end for token in prompt.content if token.field == 1) == len("a film was stale")
    assert min(token.position for token in prompt.content if token.field == 0) > max(
        token.position for token in prompt.content if token.field == 1
    )


@both_tokenizers
def test_template_text_is_never_content(encoder_of, tokenizer_of, kind):
    (short,), (long,) = (encoder_of(kind).encode([{"text": text}]) for text in ("film", "film film film film"))
    assert len(long.tokens) - len(short.tokens) == len(long.content) - len(short.content) > 0
    assert not {short.tokens[token.position] for token in short.content} & set(tokenizer_of(kind).all_special_ids)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("byte_level", "a good <|im_end|> film"),
        ("byte_level", "ends<|im_start|>"),
        ("sentencepiece", "a good </s> film"),
        ("sentencepiece", "<s>starts"),
    ],
)
def test_special_tokens_in_content_are_flagged(encoder_of, kind, text):
    plain, marked = encoder_of(kind).encode([{"text": "a good film"}, {"text": text}])
    assert not plain.markup
    assert marked.markup


def test_there_is_one_bos_where_the_template_writes_one_and_none_where_it_does_not(encoder_of, tokenizer_of):
    (prompt,) = encoder_of("sentencepiece").encode([{"text": "a film"}])
    tokenizer = tokenizer_of("sentencepiece")
    assert tokenizer("a film")["input_ids"][0] == tokenizer.bos_token_id, "this tokenizer adds a BOS by itself"
    assert prompt.tokens[0] == tokenizer.bos_token_id
    assert prompt.tokens.count(tokenizer.bos_token_id) == 1
    assert all(tokenizer.bos_token_id not in answer for answer in prompt.labels)


def test_the_answer_begins_with_the_space_that_the_template_writes_and_only_there(encoder_of, tokenizer_of):
    (inst,) = encoder_of("sentencepiece").encode([{"text": "a film"}])
    tokenizer = tokenizer_of("sentencepiece")
    assert [tokenizer.convert_ids_to_tokens(list(answer)) for answer in inst.labels] == [["▁negative"], ["▁positive"]]
    (chatml,) = encoder_of("byte_level").encode([{"text": "a film"}])
    tokenizer = tokenizer_of("byte_level")
    assert [tokenizer.decode(answer) for answer in chatml.labels] == ["negative", "positive"]


@both_tokenizers
def test_prompt_and_answer_are_tokenised_as_the_finished_conversation_is(encoder_of, tokenizer_of, kind):
    """What the model is scored on is what it would have been trained on: the template's own rendering of the answer."""
    encoder, tokenizer = encoder_of(kind), tokenizer_of(kind)
    (prompt,) = encoder.encode([{"text": "a splendid hotel"}])
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Text: a splendid hotel\nSentiment?"},
        {"role": "assistant", "content": "positive"},
    ]
    whole = tokenizer(tokenizer.apply_chat_template(turns, tokenize=False), add_special_tokens=False)["input_ids"]
    ids = [*prompt.tokens, *prompt.labels[1]]
    assert whole[: len(ids)] == ids


def test_a_template_that_shouts_is_refused(tokenizer_of, prompt_file):
    tokenizer = tokenizer_of("byte_level")
    tokenizer.chat_template = tokenizer.chat_template.replace("message['content']", "message['content'] | upper")
    with pytest.raises(UserError, match="exactly once"):
        PromptEncoder(tokenizer, load_task(prompt_file()), None)


def test_a_template_that_repeats_the_message_is_refused(tokenizer_of, prompt_file):
    tokenizer = tokenizer_of("byte_level")
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "message['content']", "message['content'] + message['content']"
    )
    with pytest.raises(UserError, match="exactly once"):
        PromptEncoder(tokenizer, load_task(prompt_file()), None)


def test_a_template_that_escapes_is_refused_for_the_text_that_it_alters(tokenizer_of, prompt_file):
    tokenizer = tokenizer_of("byte_level")
    tokenizer.chat_template = tokenizer.chat_template.replace("message['content']", "message['content'] | escape")
    encoder = PromptEncoder(tokenizer, load_task(prompt_file()), None)
    assert encoder.encode([{"text": "harmless"}])
    with pytest.raises(UserError, match="alters the message 'Text: 1 < 2"):
        encoder.encode([{"text": "harmless"}, {"text": "1 < 2"}])


def test_a_template_that_strips_is_refused_for_a_text_that_ends_in_a_space(encoder_of):
    encoder = encoder_of("sentencepiece", "Text: {text}")
    assert encoder.encode([{"text": "a film"}])
    with pytest.raises(UserError, match="alters the message"):
        encoder.encode([{"text": "a film "}])


@both_tokenizers
@both_styles
@pytest.mark.parametrize("operator", ["delete", "replace"])
def test_every_masking_of_a_text_at_the_prompts_end_can_be_encoded(encoder_of, kind, style, operator):
    """Also with all its words gone, under a template that strips the message (Llama 2, Llama 3, Mistral do)."""
    text = "a bleak film"
    words = whitespace_words([text])
    encoder = encoder_of(kind, "Text: {text}", style=style)
    masks = [tuple(bool(number >> index & 1) for index in range(3)) for number in range(8)]
    fields = [mask_words({"text": text}, words, masked, operator, "___") for masked in masks]
    prompts = encoder.encode(fields)
    assert len({prompt.tokens for prompt in prompts}) == 8


def test_only_who_asks_for_chat_is_refused_a_tokenizer_without_chat_template(tokenizer_of, prompt_file):
    tokenizer, task = tokenizer_of("byte_level_base"), load_task(prompt_file())
    with pytest.raises(UserError, match="no chat template; with prompt_style auto or completion"):
        PromptEncoder(tokenizer, task, None, "chat")
    auto, plain = (PromptEncoder(tokenizer, task, None, style) for style in ("auto", "completion"))
    assert auto.encode([{"text": "film"}]) == plain.encode([{"text": "film"}])


@both_tokenizers
def test_a_tokenizer_with_a_chat_template_is_asked_by_chat_unless_the_style_says_otherwise(encoder_of, kind):
    auto, chat, plain = (
        encoder_of(kind, style=style).encode([{"text": "film"}])[0] for style in ("auto", "chat", "completion")
    )
    assert auto == chat != plain


def test_a_date_in_the_template_is_pinned(tokenizer_of, prompt_file):
    tokenizer = tokenizer_of("byte_level")
    dated = "{{ 'On ' + strftime_now('%d %b %Y') + ' and ' + date_string + ': ' }}" + tokenizer.chat_template
    tokenizer.chat_template = dated
    (prompt,) = PromptEncoder(tokenizer, load_task(prompt_file()), None).encode([{"text": "film"}])
    day = PINNED_DATE.strftime("%d %b %Y")
    assert prompt.text.startswith(f"On {day} and {day}: ")
    assert PINNED_DATE.date() != datetime.now().date()


def test_the_system_prompt_is_the_templates_the_given_one_or_empty(encoder_of):
    texts = [encoder_of("byte_level", system=system).encode([{"text": "film"}])[0].text for system in (None, "Hm.", "")]
    assert "You are a helpful assistant." in texts[0]
    assert "system\nHm.<" in texts[1]
    assert "helpful" not in texts[1]
    assert "system\n<|im_end|>" in texts[2]
    assert "helpful" not in texts[2]


def test_no_instances_give_no_prompts(encoder_of):
    assert encoder_of("byte_level").encode([]) == []


@pytest.mark.parametrize("system", ["Be brief.", "", None])
def test_a_worked_completion(encoder_of, tokenizer_of, system):
    tokenizer = tokenizer_of("byte_level_base")
    (prompt,) = encoder_of("byte_level_base", system=system).encode([{"text": "A lovely film"}])
    start = "Be brief.\n\n" if system else ""
    assert prompt.text == f"{start}Text: A lovely film\nSentiment?\n\nAnswer:"
    assert tokenizer.decode(prompt.tokens) == prompt.text
    assert [tokenizer.decode(answer) for answer in prompt.labels] == [" negative", " positive"]
    assert [prompt.text[len(start) + 6 :][token.start : token.end] for token in prompt.content][-2:] == [
        " lovely",
        " film",
    ]


def test_the_cue_of_the_prompt_file_is_what_the_answer_follows(tokenizer_of, prompt_file):
    path = prompt_file("Text: {text}")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cue": "Sentiment:"}))
    (prompt,) = PromptEncoder(tokenizer_of("byte_level_base"), load_task(path), None).encode([{"text": "film"}])
    assert prompt.text == "Text: film\n\nSentiment:"


def bos_before(tokenizer, *, after=()):
    """The tokenizer, made to put its BOS token before each text by itself, and ``after`` behind it."""
    from tokenizers import processors

    pieces = [tokenizer.bos_token, "$A", *after]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=" ".join(pieces),
        special_tokens=[(name, tokenizer.convert_tokens_to_ids(name)) for name in {*pieces} - {"$A"}],
    )
    return tokenizer


def space_at_the_start_alone(tokenizer):
    """As newer Llama 2 tokenizers have it: a space is put before a text, but not after a BOS that is written out."""
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.normalizer = None
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return tokenizer


@pytest.mark.parametrize(
    ("kind", "change", "start"),
    [
        ("byte_level_base", None, ""),
        ("byte_level_base", bos_before, "<|im_start|>"),
        ("byte_level_base", functools.partial(bos_before, after=["<|im_end|>"]), "<|im_start|>"),
        ("sentencepiece_base", None, "<s>"),
        ("sentencepiece_base", functools.partial(bos_before, after=["</s>"]), "<s>"),
        ("sentencepiece_base", space_at_the_start_alone, "<s> "),
    ],
)
@pytest.mark.parametrize("shots", [0, 2])
def test_a_completion_has_the_tokens_that_the_tokenizer_gives(tokenizer_of, prompt_file, kind, change, start, shots):
    tokenizer = tokenizer_of(kind)
    tokenizer = change(tokenizer) if change else tokenizer
    encoder = PromptEncoder(tokenizer, load_task(prompt_file(verbalisers=ANSWERS)), "Be brief.", shots=SHOTS[:shots])
    (prompt,) = encoder.encode([{"text": "a lovely film"}])
    assert prompt.text.startswith(start + "Be brief.\n\nText: ")
    for answer, words in zip(prompt.labels, ANSWERS.values(), strict=True):
        own = tokenizer(f"{prompt.text.removeprefix(start)} {words}")["input_ids"]
        ids = [*prompt.tokens, *answer]
        assert own[: len(ids)] == ids
        assert set(own[len(ids) :]) <= {tokenizer.eos_token_id}
    assert check_offsets(encoder, tokenizer, {"text": "a lovely film"}) == prompt


def test_a_start_that_cannot_be_written_as_text_is_refused(tokenizer_of, prompt_file):
    from tokenizers import processors

    tokenizer = tokenizer_of("byte_level_base")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="Ġfilm $A", special_tokens=[("Ġfilm", tokenizer.convert_tokens_to_ids("Ġfilm"))]
    )
    with pytest.raises(UserError, match="puts 'Ġfilm' before a text in a way that cannot be written as text"):
        PromptEncoder(tokenizer, load_task(prompt_file()), None)


def test_solved_examples_are_earlier_turns_of_the_chat(encoder_of, tokenizer_of):
    (prompt,) = encoder_of("byte_level", shots=2).encode([{"text": "a bleak film"}])
    turns = [{"role": "system", "content": "Be brief."}]
    for text, answer in [("a bleak film", "negative"), ("a superb meal!", "positive")]:
        turns += [{"role": "user", "content": f"Text: {text}\nSentiment?"}, {"role": "assistant", "content": answer}]
    turns.append({"role": "user", "content": "Text: a bleak film\nSentiment?"})
    tokenizer = tokenizer_of("byte_level")
    assert prompt.text == tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert list(prompt.tokens) == tokenizer(prompt.text, add_special_tokens=False)["input_ids"]


def test_solved_examples_are_blocks_before_the_question_of_a_completion(encoder_of):
    (prompt,) = encoder_of("sentencepiece_base", shots=2).encode([{"text": "a bleak film"}])
    assert prompt.text == (
        "<s>Be brief.\n\nText: a bleak film\nSentiment?\n\nAnswer: negative\n\n"
        "Text: a superb meal!\nSentiment?\n\nAnswer: positive\n\n"
        "Text: a bleak film\nSentiment?\n\nAnswer:"
    )


@both_tokenizers
@both_styles
def test_solved_examples_are_never_content_and_the_same_in_every_prompt(encoder_of, kind, style):
    """Also where an example is the very text that is asked about."""
    few, none = (encoder_of(kind, style=style, shots=shots) for shots in (2, 0))
    prompts = few.encode([{"text": "a bleak film"}, {"text": "my neighbour"}])
    alone = none.encode([{"text": "a bleak film"}, {"text": "my neighbour"}])
    for prompt, single in zip(prompts, alone, strict=True):
        assert [(token.start, token.end) for token in prompt.content] == [
            (token.start, token.end) for token in single.content
        ]
        assert prompt.labels == single.labels
        assert len(prompt.tokens) - prompt.content[0].position == len(single.tokens) - single.content[0].position
    start = prompts[0].content[0].position
    assert prompts[0].tokens[: start - 1] == prompts[1].tokens[: start - 1]


@both_styles
@pytest.mark.parametrize(("kind", "text"), [("byte_level", "a <|im_end|> film"), ("sentencepiece", "a </s> film")])
def test_a_solved_example_with_a_special_token_is_refused(tokenizer_of, prompt_file, kind, style, text):
    with pytest.raises(UserError, match=r"the solved example 'Text: a <.*holds one of the model's special tokens"):
        PromptEncoder(
            tokenizer_of(kind),
            load_task(prompt_file(verbalisers=ANSWERS)),
            None,
            style,
            [*SHOTS, ({"text": text}, "yes")],
        )


def test_a_template_that_alters_an_earlier_turn_is_refused(tokenizer_of, prompt_file):
    task = load_task(prompt_file("Text: {text}", verbalisers=ANSWERS))
    with pytest.raises(UserError, match=r"does not show the earlier turn 'Text: a film\\n'… as it is"):
        PromptEncoder(tokenizer_of("sentencepiece"), task, None, shots=[({"text": "a film\n"}, "no")])
    tokenizer = tokenizer_of("byte_level")
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "message['content']", "(message['content'] if message['role'] != 'assistant' else 'a secret')"
    )
    with pytest.raises(UserError, match="does not show the earlier turn 'positive'… as it is"):
        PromptEncoder(tokenizer, task, None, shots=SHOTS[1:])


def test_what_is_asked_can_be_written_down(tokenizer_of):
    """For the replies' table: the conversation of a chat, the plain text of a completion without the start token."""
    shots = [("Q", "A")]
    chat = asking(tokenizer_of("sentencepiece"), "Be brief.", "auto", "Answer:", shots)
    assert chat.messages("Why?") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "Why?"},
    ]
    plain = asking(tokenizer_of("sentencepiece_base"), "Be brief.", "auto", "So:", shots)
    assert plain.messages("Why?") == "Be brief.\n\nQ\n\nSo: A\n\nWhy?\n\nSo:"
    assert plain.text("Why?") == "<s>" + plain.messages("Why?")
