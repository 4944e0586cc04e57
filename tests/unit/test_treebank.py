"""Treebank tokens back into text: hand-worked sentences, and what holds for any list of tokens."""

from __future__ import annotations

import itertools
import random

import pytest
from rationale_eval.corpora.treebank import detokenise, normalised

SENTENCES = [
    ("It is a plain sentence .", "It is a plain sentence."),
    ("We do n't know , and they 're late .", "We don't know, and they're late."),
    ("I 'm , you 've , he 'd , she 'll , DO N'T , IT 'S", "I'm, you've, he'd, she'll, DON'T, IT'S"),
    ("The Joneses ' dog and Ann 's cat", "The Joneses' dog and Ann's cat"),
    ("It ’s n’t did n’t", "It’sn’t didn’t"),
    ("He can not come , gon na try", "He cannot come, gonna try"),
    ("Born -LRB- 1900 -RRB- , died -LSB- sic -RSB- -LCB- x -RCB- .", "Born (1900), died [sic] {x}."),
    ("lower -lrb- case -rrb- too", "lower (case) too"),
    ("She said `` hello '' , `` bye . ''", 'She said "hello", "bye."'),
    ("-LRB- `` A '' -RRB-", '("A")'),
    ("the ` odd ' thing", "the 'odd' thing"),
    ('plain " quotes " and " more "', 'plain "quotes" and "more"'),
    ('left " open', 'left "open'),
    ("“ curly ” and ‘ thin ’ .", "“curly” and ‘thin’."),
    ("from 1990 -- 1995 -- or so", "from 1990 – 1995 – or so"),
    ("items : one ; two ; three ?!", "items: one; two; three?!"),
    ("wait ... what ? Yes !!", "wait... what? Yes!!"),
    ("It cost $ 4.50 , US$ 3 , £ .5 or 20 % more", "It cost $4.50, US$3, £.5 or 20% more"),
    ("the # 1 hit of Curren $ y and # hash", "the #1 hit of Curren $ y and # hash"),
    ("5 ° C , the % sign", "5° C, the % sign"),
    ("1\\/2 of and\\/or \\/ with \\* M\\*A\\*S\\*H", "1/2 of and/or / with * M*A*S*H"),
    ("a third - or fourth-largest , R&B , Law & Order", "a third - or fourth-largest, R&B, Law & Order"),
    ("the '80s , No. 5 , the U.S. .", "the '80s, No. 5, the U.S.."),
    (". , starts oddly -LRB-", "., starts oddly ("),
    ("'s", "'s"),
    ("", ""),
]
VOCABULARY = [*sorted({token for tokens, _ in SENTENCES for token in tokens.split()}), "\u00a0", "a\u00a0b", "\\", "é"]


@pytest.mark.parametrize(("tokens", "text"), SENTENCES)
def test_sentences_are_written_as_people_write_them(tokens, text):
    assert detokenise(tokens.split())[0] == text


@pytest.mark.parametrize(("tokens", "text"), SENTENCES)
def test_every_token_keeps_its_place(tokens, text):
    found, spans = detokenise(tokens.split())
    assert [found[start:end] for start, end in spans] == [normalised(token) for token in tokens.split()]


def test_any_list_of_tokens_has_ordered_spans_and_only_spaces_between_them():
    chance = random.Random(7)
    for _ in range(3000):
        tokens = chance.choices(VOCABULARY, k=chance.randrange(1, 30))
        text, spans = detokenise(tokens)
        assert text.replace(" ", "") == "".join(map(normalised, tokens))
        assert [text[start:end] for start, end in spans] == list(map(normalised, tokens))
        gaps = [second[0] - first[1] for first, second in itertools.pairwise(spans)]
        assert set(gaps) <= {0, 1}
        assert (spans[0][0], spans[-1][1]) == (0, len(text))
        assert all(start < end for start, end in spans)


def test_spans_of_a_sentence_worked_by_hand():
    assert detokenise(["do", "n't", "-LRB-", "now", "-RRB-"]) == (
        "don't (now)",
        [(0, 2), (2, 5), (6, 7), (7, 10), (10, 11)],
    )
