"""Which replies name a word, from a method's table of rationales."""

from __future__ import annotations

import pandas as pd
import pytest
from rationale_eval.rationales.schema import RATIONALES, rationale_row
from rationale_eval.rationales.voting import voted
from rationale_eval.report.usability import usable_ids, usable_share
from rationale_eval.tables import read_table, write_table


def frame(tmp_path, rows):
    """The rows as the report reads them: through a file."""
    write_table(tmp_path / "rationales.parquet", rows, RATIONALES, {})
    return pd.DataFrame(read_table(tmp_path / "rationales.parquet", RATIONALES), columns=RATIONALES.columns.names)


def words(name, *chosen):
    return rationale_row(name, selected=list(chosen), named=sum(chosen))


def refused(name):
    return rationale_row(name, status="refusal", outcome="refusal")


def test_replies_that_name_a_word_are_usable_and_what_was_not_asked_is_no_reply(tmp_path):
    rows = [
        words("a", True, False),
        words("b", False, False),
        refused("c"),
        rationale_row("not classified", status="refusal"),
        *(rationale_row(status, status=status) for status in ("no_gold", "too_long", "chat_markup")),
        *(rationale_row(status, status=status) for status in ("api_error", "filtered", "not_available")),
        rationale_row("d", scores=[0.0, 0.0], named=1),
        rationale_row("e", scores=[0.0, 0.0], named=0),
    ]
    table = frame(tmp_path, rows)
    assert usable_ids(table).to_dict() == {"a": True, "b": False, "c": False, "d": True, "e": False}
    assert usable_ids(table).dtype == bool
    assert usable_share(table) == (2, 5)


def test_of_votes_one_that_names_a_word_is_enough(tmp_path):
    def vote(name, *samples):
        return voted(name, list(samples))

    rows = [
        vote("a", words("a", False, False), words("a", False, True)),
        vote("b", words("b", False, False), words("b", False, False)),
        vote("c", refused("c"), words("c", False, False)),
        vote("d", *[refused("d")] * 2),
        vote("not classified", *[rationale_row("not classified", status="refusal")] * 2),
        vote("e", *[rationale_row("e", status="too_long")] * 2),
    ]
    table = frame(tmp_path, rows)
    assert usable_ids(table).to_dict() == {"a": True, "b": False, "c": False, "d": False}
    assert usable_share(table) == (1, 4)


@pytest.mark.parametrize("rows", [[], [rationale_row("a", status="no_gold")]])
def test_without_any_reply_nothing_is_counted(tmp_path, rows):
    table = frame(tmp_path, rows)
    assert usable_ids(table).to_dict() == {}
    assert usable_share(table) == (0, 0)


def test_methods_that_are_not_prompted_are_refused(tmp_path):
    with pytest.raises(ValueError, match="only prompted methods"):
        usable_ids(frame(tmp_path, [rationale_row("a", scores=[0.5, 0.1])]))
