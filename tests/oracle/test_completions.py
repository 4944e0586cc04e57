"""Prompts as plain text to go on from, and solved examples before the question, against the tokenizer itself."""

from __future__ import annotations

import functools
import json

import pytest
from prompt_texts import ANSWERS, SHOTS, check_offsets
from rationale_eval.errors import UserError
from rationale_eval.models.asking import asking
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.task import load_task

TOKENIZERS = ("byte_level", "sentencepiece")
both_tokenizers = pytest.mark.parametrize("kind", TOKENIZERS)
both_styles = pytest.mark.parametrize("style", ["chat", "completion"])


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
    # Spaces at its end are left out, as templates that strip do.
    PromptEncoder(tokenizer_of("sentencepiece"), task, None, shots=[({"text": "a film\n"}, "no")])
    tokenizer = tokenizer_of("byte_level")
    tokenizer.chat_template = tokenizer.chat_template.replace("message['content']", "message['content'] | escape")
    with pytest.raises(UserError, match=r"does not show the earlier turn 'Text: 1 < 2'… as it is"):
        PromptEncoder(tokenizer, task, None, shots=[({"text": "1 < 2"}, "no")])
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
