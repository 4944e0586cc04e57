"""When a reply's list is over."""

from __future__ import annotations

import pytest
from rationale_eval.evidence.list_end import list_ended

OVER = [
    "- great\n- fun\n\n",
    "1. great\n2. fun\nThese words show",
    "1) great\nI chose",
    "* great\n\n* fun",
    '["great", "fun"]',
    'Here they are: ["great"] ',
    "```\ngreat\nfun\n```",
    "(1) great\n\n",
]
OVER = [text if text.rstrip().endswith(("]", "```")) else text + "\n" for text in OVER]


@pytest.mark.parametrize("text", OVER)
def test_a_list_is_over(text):
    assert list_ended(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Here are the words:\n\n",
        "Here are the words:\n\n- great\n",
        "- great\n- fu",
        "- great\nfu",  # the second line may become anything
        "great, fun, wonderful",
        "great\nfun\n",
        '["great", "fun"',
        '[["great"]',
        "```\ngreat",
        "The words [sic",
    ],
)
def test_a_list_may_go_on(text):
    assert not list_ended(text)


@pytest.mark.parametrize("text", OVER)
def test_it_is_seen_at_some_token_and_stays_so(text):
    """Asked after each character, as generation asks after each token."""
    states = [list_ended(text[:end]) for end in range(len(text) + 1)]
    assert states[-1]
    assert not states[0]
