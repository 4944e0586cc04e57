"""How a reply becomes a row of rationales: what is a set of words, and what a missing value."""

from __future__ import annotations

import pandas as pd
import pytest
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.rationales.echoes import NO_LABELS
from rationale_eval.rationales.prompted import row_of
from rationale_eval.report.usability import usable_share

TEXT = "the plot is dull"
INSTANCE = Instance("1", "bad", {"text": TEXT}, whitespace_words([TEXT]), (False, True, False, True))


def read(reply, finish="stop", gives="words", **more):
    return row_of(INSTANCE, {"status": "ok", "sample": 0, "reply": reply, "finish": finish} | more, gives, NO_LABELS)


@pytest.mark.parametrize("gives", ["words", "ranking", "scores"])
@pytest.mark.parametrize(
    ("reply", "finish"),
    [("", "length"), (" \n", "length"), ("<think>plot and dull speak", "length"), ("<think>plot", "stop")],
)
def test_a_reply_without_an_answer_is_a_missing_value(reply, finish, gives):
    row = read(reply, finish, gives)
    assert (row["status"], row["outcome"], row["selected"], row["scores"]) == ("cut_off", "truncated", None, None)


def test_an_empty_reply_that_ended_by_itself_is_an_empty_set():
    row = read("", "stop")
    assert (row["status"], row["outcome"], row["selected"]) == ("ok", "empty", [False] * 4)


def test_a_list_that_was_cut_off_keeps_what_it_had_said():
    row = read("- plot\n- dull\n- th", "length")
    assert (row["status"], row["outcome"]) == ("ok", "truncated")
    assert row["selected"] == [False, True, False, True]


def test_replies_that_were_cut_off_count_among_those_that_cannot_be_used():
    rows = [read("- dull"), read("<think>dull", "length") | {"id": "2"}, read("", "length") | {"id": "3"}]
    # One whose classification was cut off was never asked for words.
    rows.append(read(None, None, status="cut_off") | {"id": "4"})
    assert rows[-1]["outcome"] is None
    assert usable_share(pd.DataFrame(rows)) == (1, 3)
