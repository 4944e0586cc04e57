"""Masking words in the text itself; the result is tokenised anew, as any text would be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rationale_eval.corpora.instances import Word

OPERATORS = ("replace", "delete")


def mask_words(
    fields: Mapping[str, str], words: Sequence[Word], masked: Sequence[bool], operator: str, mask: str
) -> dict[str, str]:
    """The fields with the ``masked`` words replaced by ``mask``, or deleted with one side's spaces.

    Characters outside the masked words stay as they are, but that deletion leaves no double or trailing space.
    """
    texts = list(fields.values())
    # From the end, so that the offsets of earlier words stay valid.
    for word, hidden in reversed(list(zip(words, masked, strict=True))):
        if not hidden:
            continue
        text = texts[word.field]
        before, after = text[: word.start], text[word.end :]
        if operator == "replace":
            texts[word.field] = before + mask + after
        elif after[:1].isspace() and (not before or before[-1:].isspace()):
            texts[word.field] = before + after.lstrip()
        elif not after:
            texts[word.field] = before.rstrip()
        else:
            texts[word.field] = before + after
    return dict(zip(fields, texts, strict=True))
