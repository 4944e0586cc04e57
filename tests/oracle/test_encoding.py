"""Prompts against the tokenizer and the template themselves: offsets, special tokens, the start of the answer."""

from __future__ import annotations

import copy
import unicodedata
from datetime import datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from prompt_texts import check_offsets, covered
from rationale_eval.corpora.instances import whitespace_words
from rationale_eval.errors import UserError
from rationale_eval.faithfulness.masking import mask_words
from rationale_eval.models.chat import PINNED_DATE
from rationale_eval.models.encoding import ALTERED, MARKUP, TOO_LONG, PromptEncoder
from rationale_eval.models.task import load_task
from rationale_eval.rationales.aggregation import words_from_tokens
from tokenizers import AddedToken, Regex, normalizers

TOKENIZERS = ("byte_level", "sentencepiece")
both_tokenizers = pytest.mark.parametrize("kind", TOKENIZERS)
both_styles = pytest.mark.parametrize("style", ["chat", "completion"])
NLI = "Premise: {premise}\nHypothesis: {hypothesis}\nAnswer?"


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
    assert prompt.fault is None


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
    if prompt.fault is None:
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


@pytest.mark.parametrize("order", [("premise", "hypothesis"), ("hypothesis", "premise")])
def test_tokens_are_numbered_by_the_fields_of_the_instance_in_whatever_order(encoder_of, tokenizer_of, order):
    texts = {"premise": "The sun rises over the lake.", "hypothesis": "A film was stale"}
    (prompt,) = encoder_of("byte_level", NLI, ("premise", "hypothesis")).encode([{name: texts[name] for name in order}])
    tokens = tokenizer_of("byte_level").convert_ids_to_tokens(prompt.tokens)
    for number, name in enumerate(order):
        mine = [token for token in prompt.content if token.field == number]
        # The pieces in the prompt are those of the field with this number: the premise's come first there.
        pieces = "".join(tokens[token.position] for token in mine).replace("Ġ", " ").strip()
        assert pieces == texts[name]
        assert (mine[0].start, mine[-1].end) == (0, len(texts[name]))
    assert prompt.text.index(texts["premise"]) < prompt.text.index(texts["hypothesis"])


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
    assert (plain.fault, marked.fault) == (None, MARKUP)


def test_tokens_of_the_templates_turns_are_flagged_though_they_are_not_special(tokenizer_of, load_task_of):
    tokenizer = tokenizer_of("byte_level_base")
    tokenizer.add_tokens([AddedToken(sign, special=False) for sign in ("<|user|>", "<|end|>", "<h1>", "\n\n")])
    tokenizer.chat_template = (
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    texts = ["a good film", "a <|end|> film", "<|user|>", "<h1> is a heading", "two\n\nparagraphs"]
    prompts = PromptEncoder(tokenizer, load_task_of("Text: {text}"), None).encode([{"text": text} for text in texts])
    assert [prompt.fault for prompt in prompts] == [None, MARKUP, MARKUP, None, None]


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


def test_a_template_that_escapes_cannot_ask_about_the_text_that_it_alters(tokenizer_of, prompt_file):
    tokenizer = tokenizer_of("byte_level")
    tokenizer.chat_template = tokenizer.chat_template.replace("message['content']", "message['content'] | escape")
    encoder = PromptEncoder(tokenizer, load_task(prompt_file()), None)
    harmless, altered = encoder.encode([{"text": "harmless"}, {"text": "1 < 2"}])
    assert (harmless.status(100), altered.status(100), altered.status(1)) == (None, ALTERED, ALTERED)
    assert harmless.status(1) == TOO_LONG


@both_styles
@pytest.mark.parametrize("text", ["a film ", "\n a film", "\u00a0a film\t\n"])
def test_spaces_around_a_text_are_in_no_word_and_stop_nothing(encoder_of, style, text):
    # The template of this tokenizer strips, as those of Llama, Gemma and Mistral do.
    prompt, plain = encoder_of("sentencepiece", "{text}", style=style).encode([{"text": text}, {"text": "a film"}])
    assert (prompt.text, prompt.tokens) == (plain.text, plain.tokens)
    start = text.index("a")
    assert [token.start - start for token in prompt.content] == [token.start for token in plain.content]
    assert covered(prompt, 0) >= {place for place, character in enumerate(text) if not character.isspace()}


@pytest.mark.parametrize(
    "text",
    ["Le café était superbe", "phim này rất tệ", "영화가 좋다", "ǭ x̂ ñ film", "a\u0301"],
)
def test_what_a_tokenizer_composes_is_covered_whole(tokenizer_of, load_task_of, text):
    # NFC, as of Qwen, Pythia and Cohere, ties a composed character to the first of its parts alone.
    tokenizer = copy.deepcopy(tokenizer_of("byte_level"))
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    parts = unicodedata.normalize("NFD", text)
    (prompt,) = PromptEncoder(tokenizer, load_task_of("Text: {text} End"), None).encode([{"text": parts}])
    words = whitespace_words([parts])
    places = [(token.field, token.start, token.end) for token in prompt.content]
    assert len(words_from_tokens(words, places, [1.0] * len(places), "max", "1")) == len(words)
    for word in words:
        mine = [token for token in prompt.content if token.start < word.end and token.end > word.start]
        pieces = tokenizer.decode([prompt.tokens[token.position] for token in mine])
        assert unicodedata.normalize("NFD", pieces).strip() == parts[word.start : word.end]


@pytest.mark.parametrize(
    "text", ["good\u200b film", "\u200bgood film", "a \u200b\ufeff film", "so\x01 \x02good \x03", "\u200e"]
)
def test_what_a_tokenizer_drops_goes_to_the_token_beside_it(tokenizer_of, load_task_of, text):
    tokenizer = copy.deepcopy(tokenizer_of("byte_level"))
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace(Regex(r"[\p{Cf}\x01-\x08]"), "")
    (prompt,) = PromptEncoder(tokenizer, load_task_of("Text: {text} End"), None).encode([{"text": text}])
    assert covered(prompt, 0) >= {place for place, character in enumerate(text) if not character.isspace()}
    # Each character has one token that is not the neighbour's too, unless it is a part of a larger one.
    assert sum(token.end - token.start for token in prompt.content) <= len(text) + 1


@pytest.mark.parametrize("words", [("hate", "hate speech"), ("no", "no way")])
def test_a_verbaliser_that_begins_another_is_refused(tokenizer_of, load_task_of, words):
    task = load_task_of("Text: {text}", dict(zip("ab", words, strict=True)))
    with pytest.raises(UserError, match=rf"the verbaliser '{words[0]}' is the beginning of '{words[1]}'.*none begins"):
        PromptEncoder(tokenizer_of("byte_level"), task, None).encode([{"text": "a film"}])


# As that of Qwen3: before the last answer stands a thought, empty where the model is told not to think.
THINKS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


@pytest.mark.parametrize("template", [None, {"enable_thinking": False}])
def test_an_answer_stands_behind_the_templates_empty_thought(tokenizer_of, load_task_of, template):
    tokenizer = tokenizer_of("byte_level")
    tokenizer.chat_template = THINKS
    encoder = PromptEncoder(tokenizer, load_task_of("Text: {text}"), None, template=template)
    (prompt,) = encoder.encode([{"text": "a film"}])
    assert prompt.text == ("<|im_start|>user\nText: a film<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert tokenizer.decode(prompt.tokens) == prompt.text
    answered = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Text: a film"}, {"role": "assistant", "content": "positive"}], tokenize=False
    )
    assert answered.startswith(prompt.text + "positive")


def test_a_thought_that_the_template_opens_has_no_place_for_an_answer(tokenizer_of, load_task_of):
    tokenizer = tokenizer_of("byte_level")
    tokenizer.chat_template = THINKS.replace("assistant\n{% if enable", "assistant\n<think>\n{% if enable")
    with pytest.raises(UserError, match=r"opens a thought that the answer comes behind.*enable_thinking: false"):
        PromptEncoder(tokenizer, load_task_of("Text: {text}"), None)


def test_a_template_that_refuses_the_conversation_is_told_in_a_line(tokenizer_of, load_task_of):
    tokenizer = tokenizer_of("byte_level")
    tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + THINKS
    )
    with pytest.raises(
        UserError, match=r"refuses the conversation \(System role not supported\); set the model's system_prompt"
    ):
        PromptEncoder(tokenizer, load_task_of("Text: {text}"), "Be brief.")


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
