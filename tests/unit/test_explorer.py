"""The explorer's blocks against the tables that they come from, and the page around them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from explorer_pages import EMOJI, blocks_of, build, hostile, spec_of, unpacked
from rationale_eval import thoughts
from rationale_eval.alignment import ALIGNMENT
from rationale_eval.apis import client, completion, labels
from rationale_eval.corpora.instances import Instance, Word, read_instances, write_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence import reply_schema
from rationale_eval.models import encoding
from rationale_eval.rationales import schema
from rationale_eval.rationales.budgets import selections, sizes
from rationale_eval.rationales.schema import RATIONALES
from rationale_eval.report import explorer, explorer_words
from rationale_eval.report.explorer_cell import ABSENT, NO_COUNT, Codes
from rationale_eval.report.explorer_corpus import corpus_values
from rationale_eval.report.explorer_pack import MISSING, counts, fixed, levels, pack, utf16_offsets
from rationale_eval.tables import read_table, write_table
from report_trees import APPLY, BUDGETS, HOSTILE, METHODS, SCRIPT, budgets_of, write_cell


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Results with an explorer of hostile texts, and its blocks."""
    results = tmp_path_factory.mktemp("results")
    page = hostile(results)
    return results, page, blocks_of(page)


def test_what_is_packed_is_unpacked_alike():
    values = {
        "a": np.array([-1, 127, 3], dtype=np.int8),
        "b": np.array([[0.25, np.nan]], dtype=np.float32),
        "texts": [SCRIPT, EMOJI, None],
        "c": np.array([], dtype=np.uint32),
        "d": np.array([MISSING], dtype=np.int16),
    }
    found = unpacked(pack(values))
    assert set(found) == set(values)
    assert found["texts"] == values["texts"]
    for name in "abcd":
        assert found[name].dtype == values[name].dtype
        np.testing.assert_array_equal(found[name], values[name].ravel())


def test_numbers_keep_four_decimals_and_scores_a_127th():
    assert [fixed(value) for value in (0.12345, -1.0, None, float("nan"))] == [1234, -10000, MISSING, MISSING]
    steps, largest = levels(np.array([0.5, -2.0, 0.0, 1.0]))
    assert (steps.tolist(), largest) == ([32, -127, 0, 64], 2.0)
    assert levels(np.zeros(2)) == (pytest.approx([0, 0]), 0.0)


@pytest.mark.parametrize("text", [f"a {EMOJI} b", EMOJI, "\U0001f468\U0001f469x"])
def test_offsets_count_as_utf16_does(text):
    found = utf16_offsets(text)
    for place in range(len(text) + 1):
        assert found[place] == len(text[:place].encode("utf-16-le")) // 2


def test_texts_without_such_characters_need_no_other_offsets():
    assert utf16_offsets("") is None
    assert utf16_offsets("na\u00efve \u4e2d \uffff") is None


def test_words_of_the_corpus_are_those_of_the_instances(tree):
    results, _, blocks = tree
    instances = read_instances(results / "corpora" / "one" / "test.parquet")
    found = blocks["corpus-0"]
    assert found["ids"] == [one.id for one in instances]
    place = 0
    for number, one in enumerate(instances):
        assert found["first"][number] == place
        for word in one.words:
            text = found["texts"][number][found["field"][place]].encode("utf-16-le")
            cut = text[2 * found["start"][place] : 2 * found["end"][place]].decode("utf-16-le")
            assert cut == one.text(word)
            place += 1
    assert found["first"][-1] == place
    marked = np.unpackbits(found["marked"], bitorder="little")[:place]
    assert marked.tolist() == [mark for one in instances for mark in one.rationale]
    votes = [sum(mask[word] for mask in one.annotators) for one in instances for word in range(len(one.words))]
    assert found["votes"].tolist() == votes


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("alignment", ("f1", "f1_chance", "precision", "recall", "iou")),
        ("faithfulness", ("comprehensiveness", "sufficiency", "flip_random")),
    ],
)
def test_measures_are_those_of_the_tables(tree, table, columns):
    results, _, blocks = tree
    cell = blocks["cell-2"]
    rows = pd.read_parquet(results / "two" / "m" / "base" / f"{table}.parquet")
    rows = rows[rows["sample"] == 0].set_index(["method", "budget", "id"])
    assert {tuple(view) for view in cell["views"]} == {
        (name, at) for name in METHODS for at in APPLY.get(name, BUDGETS)
    }
    for view, (method, budget) in enumerate(cell["views"]):
        for place in range(4):
            row, at = rows.loc[method, budget, str(place)], view * 4 + place
            assert cell["statuses"][cell[f"{table}_status"][at]] == row["status"]
            for column in columns:
                expected = MISSING if pd.isna(row[column]) else round(float(row[column]) * 10000)
                assert cell[column][at] == expected, (method, budget, place, column)
            if table == "faithfulness":
                assert cell["flip"][at] == (-1 if row["flip"] is None else int(row["flip"]))


def test_selected_words_and_replies_are_those_of_the_budgets_in_every_block(tmp_path, monkeypatch):
    monkeypatch.setattr(explorer_words, "BLOCK", 3)  # 4 instances: the second block has one
    write_cell(tmp_path, "two", "yes", "plain words of a text", {})
    instances = read_instances(tmp_path / "corpora" / "two" / "test.parquet")
    blocks = blocks_of(build(tmp_path, [("two", "m", "base")]))
    rationales = {
        name: read_table(tmp_path / "two/m/base/rationales" / f"{name}.parquet", RATIONALES) for name in METHODS
    }
    matched = sizes("asked", rationales["asked"])
    for number, part in enumerate((instances[:3], instances[3:])):
        block = blocks[f"cell-0-block-{number}"]
        words = sum(len(one.words) for one in part)
        masks = block["masks"].reshape(len(blocks["cell-0"]["views"]), -1)
        for view, (method, budget) in enumerate(blocks["cell-0"]["views"]):
            expected = []
            for one in part:
                row = next(row for row in rationales[method] if (row["id"], row["sample"]) == (one.id, 0))
                ((_, _, mask),) = selections(row, one.rationale, {budget: budgets_of(method)[budget]}, matched)
                expected += mask or [False] * len(one.words)
            assert np.unpackbits(masks[view], bitorder="little")[:words].tolist() == expected
        replies = [[reply.get("reply") for reply in of_one] for of_one in block["replies"]["asked"]]
        assert [bool(texts[0]) for texts in replies] == [one.id != "3" for one in part]
        assert len(block["scores"]) == len(block["scored"]) * words
    assert "cell-0-block-2" not in blocks


def test_the_policy_allows_the_script_and_style_of_the_page_alone(tree):
    html = tree[1].read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1].replace("&#39;", "'")
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_foreign_text_stands_in_the_file_escaped_or_packed(tree):
    html = tree[1].read_text(encoding="utf-8")
    assert html.count("<script") == html.count("</script>") == 1 + len(tree[2])
    assert "<img" not in html
    assert "\u202e" not in html
    assert HOSTILE[:8].replace("<", "&lt;").replace(">", "&gt;") in html


def test_equal_results_give_equal_pages(tree):
    results, page, blocks = tree
    before = page.read_bytes()
    assert build(results, [tuple(cell.values()) for cell in blocks["study"]["cells"]]).read_bytes() == before


def test_each_status_is_said_in_words():
    constants = (
        *(schema.OK, schema.NO_GOLD, schema.REFUSAL, schema.NO_REPLY, schema.NOT_GIVEN, schema.NO_VOTE),
        *(schema.NOT_AVAILABLE, schema.NOT_COVERED, thoughts.CUT_OFF, reply_schema.NO_GOLD),
        *(encoding.TOO_LONG, encoding.MARKUP, encoding.ALTERED),
        *(completion.FILTERED, client.API_ERROR, completion.REFUSAL, labels.UNPARSED),
    )
    assert {*constants, ABSENT} == set(explorer.STATUSES)


def test_a_row_that_a_table_lacks_is_told_from_a_measured_one(tmp_path):
    write_cell(tmp_path, "two", "yes", "plain words", {})
    path = tmp_path / "corpora/two/test.parquet"
    more = read_instances(path)
    write_instances(path, [*more, replace(more[0], id="4")], {})
    cell = blocks_of(build(tmp_path, [("two", "m", "base")]))["cell-0"]
    for column in ("status", "alignment_status", "faithfulness_status"):
        assert cell["statuses"][cell[column].reshape(-1, 5)[0, 4]] == ABSENT


def test_tables_that_do_not_fit_the_corpus_are_named(tmp_path):
    write_cell(tmp_path, "two", "yes", "plain words", {})
    (tmp_path / "two/m/base/alignment.parquet").unlink()
    with pytest.raises(UserError, match=r"alignment\.parquet: there is no such table"):
        build(tmp_path, [("two", "m", "base")])
    assert not list((tmp_path / "report").iterdir())
    write_cell(tmp_path, "two", "yes", "plain words", {})
    path = tmp_path / "corpora/two/test.parquet"
    write_instances(path, read_instances(path)[:3], {})
    with pytest.raises(UserError, match=r"\.parquet: row '3' is not among the instances"):
        build(tmp_path, [("two", "m", "base")])


def test_a_study_without_cells_is_refused(tmp_path):
    spec = json.dumps(spec_of([]))
    with pytest.raises(UserError, match="the study has no cell"):
        explorer.main(["--spec", spec, "--results", str(tmp_path), "--output", str(tmp_path / "explorer.html")])


def test_counts_of_any_size_are_packed_whole():
    """300 annotators and 300 fields do not fit a byte."""
    fields = {f"field {number}": "word" for number in range(300)}
    words = tuple(Word(number, 0, 4) for number in range(300))
    one = Instance("0", "yes", fields, words, (True,) * 300, ((True,) * 300,) * 300)
    found = unpacked(pack(corpus_values([one])))
    assert found["annotators"].tolist() == [300]
    assert found["field"].tolist() == list(range(300))
    assert found["votes"].tolist() == [300] * 300
    assert unpacked(pack({"n": counts([0, 2**32 - 1]), "none": counts([])}))["n"].tolist() == [0, 2**32 - 1]


def test_more_words_than_16_bits_count_can_be_selected(tmp_path):
    write_cell(tmp_path, "two", "yes", "plain words", {})
    path = tmp_path / "two/m/base/alignment.parquet"
    rows = read_table(path, ALIGNMENT)
    counted = {"0": 65_534, "1": 65_535, "2": 70_000}
    write_table(path, [row | {"selected": counted.get(row["id"])} for row in rows], ALIGNMENT, {})
    cell = blocks_of(build(tmp_path, [("two", "m", "base")]))["cell-0"]
    views = len(cell["views"])
    assert cell["selected"].reshape(views, 4).tolist() == [[*counted.values(), NO_COUNT]] * views


def test_codes_number_texts_as_they_come():
    codes = Codes(("absent", "ok"))
    assert [codes.of(text) for text in ("ok", "new", "absent", "new")] == [1, 2, 0, 2]
    assert codes.texts == ["absent", "ok", "new"]
