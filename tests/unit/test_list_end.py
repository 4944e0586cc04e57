"""When a reply's list is over."""

from __future__ import annotations

import pytest
from rationale_eval.evidence.list_end import list_ended

OVER = [
    "1. great\n2. fun\nThese words show\n",
    "1) great\nI chose\n",
    "- great\n- fun\n\nThese",  # a paragraph may be long: its first letters tell
    "- great\n\n- fun\n\nI chose",
    "* great\n\n* fun\n\n**Why",
    "- great:\n  it praises\n- fun\nBoth show\n",
    '(1) great\n\n"Great" says it\n',
    "[1] great\n[2] fun\nBoth show\n",
    '["great", "fun"]',
    'Here they are: ["great"] ',
    "The text [1] has ['great', 'fun']",
    '[["great", 0.9], ["fun", 0.8]]',
    '[\n["great", 0.9],\n["fun", 0.8]\n]',
    '[{"word": "great", "score": 0.9}]',
    '["great", 0.9]\n["fun", 0.8]\nThese show\n',
    "```\ngreat\nfun\n```",
]


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
        "[1]",
        "[1] great\n[2] fun",
        "The sentiment is [positive]",
        '["great", 0.9]',
        '["great", 0.9], ["fun", 0.8]',
        '["great", 0.9],\n["fun", 0.8]\n',
        "- great\n- fun\n\n",
        "* great\n\n* fun\n",
        "* great\n\n*",
        "1. great\n\n   It praises.\n\n2. fun\n",
        "- great:\n  it praises\n- fun\n",
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
