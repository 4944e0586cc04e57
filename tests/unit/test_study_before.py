"""The note on a report that a narrower study is about to replace."""

from __future__ import annotations

import json

import pytest
from rationale_eval.study_before import narrowed


def cells(*names):
    return [dict(zip(("corpus", "model", "checkpoint"), name.split("/"), strict=True)) for name in names]


SPEC = {"cells": cells("a/m/base", "b/m/base"), "methods": {"grad": {}, "random": {}}}


@pytest.fixture
def before(tmp_path):
    """The claims of a report on three cells by three methods."""
    made = {"cells": [*SPEC["cells"], *cells("a/m/epoch-01-seed-0")], "methods": SPEC["methods"] | {"human": {}}}
    path = tmp_path / "report/claims.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"provenance": {"spec": made}}))
    return path


def test_cells_and_methods_that_go_are_counted_and_one_is_named(before):
    note = narrowed(before, SPEC)
    assert "without 1 of its 3 cells (such as a/m/epoch-01-seed-0) and 1 of its 3 methods (such as human)" in note
    assert note.startswith(f"the report in {before.parent} will be replaced by one without")
    fewer = SPEC | {"cells": cells("b/m/base"), "methods": SPEC["methods"] | {"human": {}}}
    assert "without 2 of its 3 cells (such as a/m/base); set another results_dir" in narrowed(before, fewer)


def test_a_larger_or_equal_study_has_no_note(before):
    made = json.loads(before.read_text())["provenance"]["spec"]
    assert narrowed(before, made) is None
    assert narrowed(before, made | {"cells": [*made["cells"], *cells("c/m/base")]}) is None


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"provenance": {"spec": {"cells": [1]}}}'])
def test_where_there_is_no_report_that_can_be_read_there_is_no_note(before, content):
    if content is None:
        before.unlink()
    else:
        before.write_text(content)
    assert narrowed(before, SPEC) is None
