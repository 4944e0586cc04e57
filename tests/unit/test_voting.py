"""Samples as votes, and how budgets cut what prompted methods give."""

from __future__ import annotations

import json

import pytest
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.rationales import prompted
from rationale_eval.rationales.budgets import is_short, selections, wanted
from rationale_eval.rationales.schema import RATIONALES, rationale_row
from rationale_eval.rationales.voting import voted
from rationale_eval.tables import read_table, write_table

GOLD = (True, True, False, False)


def sample(number, words=None, status="ok"):
    return rationale_row("x", number, status, selected=words)


def test_the_score_is_the_share_of_the_votes_that_name_the_word():
    readings = [
        sample(0, [True, True, False, False]),
        sample(1, [True, False, False, False]),
        sample(2, [False] * 4),
        sample(3, status="refusal"),
        sample(4, [True, False, True, False]),
    ]
    row = voted("x", readings)
    assert row["scores"] == [pytest.approx(share) for share in (1, 1 / 3, 1 / 3, 0)]
    assert (row["status"], row["sample"], row["votes"], row["left_out"], row["named"]) == ("ok", 0, 3, 2, 3)
    assert row["selected"] is None


@pytest.mark.parametrize(
    ("readings", "status"),
    [
        ([sample(0, status="refusal"), sample(1, status="refusal")], "refusal"),
        ([sample(0, status="too_long"), sample(1, status="too_long")], "too_long"),
        ([sample(0, status="refusal"), sample(1, [False] * 4)], "no_vote"),
        ([sample(0, [False] * 4), sample(1, [False] * 4)], "no_vote"),
    ],
)
def test_without_a_vote_there_is_no_rationale(readings, status):
    row = voted("x", readings)
    assert (row["status"], row["scores"], row["votes"], row["left_out"]) == (status, None, 0, 2)


def cut(row, budget, matched=None):
    ((_, status, mask),) = selections(row, GOLD, {"b": budget}, matched or {})
    return status, mask, is_short(row, wanted(row, GOLD, budget, matched or {}))


RANKING = rationale_row("x", selected=[True, False, True, True], order=[3, 0, 2], named=3)
NUMBERS = rationale_row("x", scores=[0.0, -1.0, 5.0, 0.0], order=[2, 1], named=2)


@pytest.mark.parametrize(
    ("row", "budget", "words", "short"),
    [
        (RANKING, {"kind": "top_k", "k": 1}, [3], False),
        (RANKING, {"kind": "top_var"}, [0, 3], False),
        (RANKING, {"kind": "top_ratio", "ratio": 0.75}, [0, 2, 3], False),
        (RANKING, {"kind": "top_k", "k": 4}, [0, 2, 3], True),
        (RANKING, {"kind": "matched", "to": "said"}, [0, 3], False),
        (NUMBERS, {"kind": "top_k", "k": 1}, [2], False),
        # Words without a number come before those with a negative one, the first first.
        (NUMBERS, {"kind": "top_k", "k": 3}, [0, 2, 3], True),
    ],
)
def test_orders_and_numbers_are_cut_to_any_budget(row, budget, words, short):
    expected = [place in words for place in range(4)]
    assert cut(row, budget, {("said", "x"): 2}) == ("ok", expected, short)


def test_a_ranking_without_a_reply_to_match_is_counted():
    assert cut(RANKING, {"kind": "matched", "to": "said"}) == ("no_reply", None, False)


@pytest.fixture
def read(tmp_path):
    """``read(replies, gives, vote)``: the stage on replies about one text; its readings and its rationales."""

    def run(replies, gives, vote, status="ok"):
        text = "warm and fine here"
        write_instances(tmp_path / "t", [Instance("x", "yes", {"text": text}, whitespace_words([text]), GOLD)], {})
        nothing = dict.fromkeys(REPLIES.columns.names)
        rows = [
            nothing | {"id": "x", "sample": place, "status": status, "reply": reply, "finish": "stop"}
            for place, reply in enumerate(replies)
        ]
        write_table(tmp_path / "replies", rows, REPLIES, {})
        paths = [f"--{name}={tmp_path / name}" for name in ("replies", "readings", "output")]
        prompted.main(
            [
                "--spec",
                json.dumps({"gives": gives, "vote": vote, "labels": ["yes", "fine"]}),
                f"--test={tmp_path / 't'}",
                *paths,
            ]
        )
        return read_table(tmp_path / "readings", RATIONALES), read_table(tmp_path / "output", RATIONALES)

    return run


def test_each_sample_is_kept_as_it_was_read_beside_the_vote(read):
    readings, (row,) = read(["- warm\n- fine", "- warm\n- cold", "I cannot say."], "words", True)
    assert [(one["sample"], one["outcome"]) for one in readings] == [
        (0, "ok"),
        (1, "partly_matched"),
        (2, "refusal"),
    ]
    assert row["scores"] == [1.0, 0.0, 0.5, 0.0]
    assert (row["votes"], row["left_out"], row["outcome"]) == (2, 1, None)


def test_a_label_casts_no_vote_and_ranks_and_scores_nothing(read):
    """Though the text holds the word."""
    readings, (row,) = read(["- warm\n- fine", "Fine.", "- ...", "- warm"], "words", True)
    assert [one["outcome"] for one in readings] == ["ok", "label_only", "form_only", "ok"]
    assert [one["named"] for one in readings] == [2, 0, 0, 1]
    assert row["scores"] == [1.0, 0.0, 0.5, 0.0]
    assert (row["votes"], row["left_out"]) == (2, 2)
    _, (unanimous,) = read(["Fine.", "fine"], "words", True)
    assert (unanimous["status"], unanimous["votes"]) == ("no_vote", 0)
    _, (ranking,) = read(["1. fine"], "ranking", False)
    assert (ranking["outcome"], ranking["order"], ranking["selected"]) == ("label_only", [], [False] * 4)
    _, (numbers,) = read(["- fine: 9"], "scores", False)
    assert (numbers["outcome"], numbers["scores"], numbers["named"]) == ("label_only", [0.0] * 4, 0)


@pytest.mark.parametrize(("reply", "outcome"), [("I cannot help with that.", "refusal"), (None, None)])
def test_a_refusal_that_an_api_reports_is_a_reply_and_one_to_classify_is_none(read, reply, outcome):
    readings, (row,) = read([reply], "words", False, status="refusal")
    assert readings == [row]
    assert (row["status"], row["outcome"], row["selected"], row["named"]) == ("refusal", outcome, None, None)
    assert row["hallucinated"] == ([] if outcome else None)
    _, (voted_on,) = read([reply] * 2, "words", True, status="refusal")
    assert (voted_on["status"], voted_on["outcome"], voted_on["votes"]) == ("refusal", outcome, 0)


def test_one_word_is_asked_for_and_the_label_is_given(read):
    """An echo and a choice look alike, so it names nothing."""
    _, (row,) = read(["- fine"], "words", False)
    assert (row["status"], row["outcome"], row["selected"], row["hallucinated"]) == (
        "ok",
        "label_only",
        [False] * 4,
        [],
    )


def test_a_ranking_keeps_the_order_of_the_reply_and_numbers_their_words(read):
    _, (ranking,) = read(["1. fine\n2. warm"], "ranking", False)
    assert (ranking["order"], ranking["selected"], ranking["named"]) == ([2, 0], [True, False, True, False], 2)
    _, (numbers,) = read(["- fine: 3\n- warm: -1"], "scores", False)
    assert (numbers["scores"], numbers["selected"], numbers["named"]) == ([-1.0, 0.0, 3.0, 0.0], None, 2)
