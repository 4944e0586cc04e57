"""What the tests of prompts share: the answers of a task of two labels, solved examples, a check of offsets."""

ANSWERS = {"no": "negative", "yes": "positive"}
SHOTS = [({"text": "a bleak film"}, "no"), ({"text": "a superb meal!"}, "yes")]


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
