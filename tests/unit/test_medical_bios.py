"""MedicalBios: words found again in the text, both settings, bad rows and files, and the publisher's rows."""

from __future__ import annotations

import io
import json
import unicodedata
import zipfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.corpora.instances import Word, check
from rationale_eval.corpora.medical_bios import LABELS, locate, read
from rationale_eval.corpora.rows import RowError
from rationale_eval.errors import UserError

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "medical-bios"
SPEC = {"archive": [], "train": ["train.*"], "test": ["test.*"], "bad_rows": "error", "setting": "standard"}
CONTRASTIVE = {"setting": "contrastive"}
ROW = {
    "text": "She's fixing teeth, and  “crowns”.",
    "label": 3,
    "foil": 2,
    "words": ["She", "'s", "fixing", "teeth", ",", "and", "“", "crowns", "”", "."],
    "rationale": [0, 0, 1, 1, 0, 0, 0, 1, 0, 0],
    "contrastive_rationale": [0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
    "annotations": [[0, 0, 1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0, 1, 0, 0], [0, 0, 0, 1, 0, 0, 1, 1, 1, 0]],
}


def without(*names):
    return {name: value for name, value in ROW.items() if name not in names}


@pytest.fixture(params=["jsonl", "parquet"])
def read_rows(tmp_path, request):
    """``read_rows(rows, side, **changes of the spec)``: instances and counts of a file with these rows."""

    def found(rows, side="test", **changes):
        path = tmp_path / f"{side}.{request.param}"
        if request.param == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        else:
            pq.write_table(pa.Table.from_pylist(rows), path)
        left_out = Counter()
        instances = list(read(tmp_path, SPEC | changes, side, left_out))
        for instance in instances:
            check(instance, "test")
        return instances, dict(left_out)

    return found


def marked(instance, mask):
    return [instance.text(word) for word, mark in zip(instance.words, mask, strict=True) if mark]


def test_a_row_becomes_an_instance_of_the_standard_setting(read_rows):
    ((instance,), left_out) = read_rows([ROW])
    assert (instance.label, instance.foil, instance.fields) == ("dentist", None, {"text": ROW["text"]})
    assert [instance.text(word) for word in instance.words] == ROW["words"]
    assert instance.words[:3] == (Word(0, 0, 3), Word(0, 3, 5), Word(0, 6, 12))
    assert marked(instance, instance.rationale) == ["fixing", "teeth", "crowns"]
    assert [marked(instance, mask) for mask in instance.annotators] == [
        ["fixing", "teeth"],
        ["fixing", "teeth", "crowns"],
        ["teeth", "“", "crowns", "”"],
    ]
    assert left_out == {}


def test_the_contrastive_setting_has_its_own_mask_the_foil_and_no_annotators(read_rows):
    ((instance,), _) = read_rows([ROW], **CONTRASTIVE)
    assert (instance.label, instance.foil, instance.annotators) == ("dentist", "nurse", None)
    assert marked(instance, instance.rationale) == ["teeth"]


def test_the_publishers_aggregate_is_taken_as_it_is(read_rows):
    only_first = [1] + [0] * 9
    ((instance,), _) = read_rows([ROW | {"rationale": only_first}])
    assert marked(instance, instance.rationale) == ["She"]


@pytest.mark.parametrize("setting", ["standard", "contrastive"])
def test_columns_may_have_the_plural_and_annotators_may_be_absent(read_rows, setting):
    singular = "rationale" if setting == "standard" else "contrastive_rationale"
    row = without("rationale", "contrastive_rationale", "annotations") | {f"{singular}s": ROW[singular]}
    ((instance,), _) = read_rows([row], setting=setting)
    assert instance.rationale == tuple(map(bool, ROW[singular]))
    assert instance.annotators is None


def test_labels_may_be_names_already(read_rows):
    ((instance,), _) = read_rows([ROW | {"label": "surgeon", "foil": "physician"}], **CONTRASTIVE)
    assert (instance.label, instance.foil) == ("surgeon", "physician")


def test_train_rows_have_no_rationale_and_the_words_between_spaces(read_rows):
    found, left_out = read_rows([{"text": f"Teeth, and {label}.", "label": label} for label in range(5)], side="train")
    assert [row.label for row in found] == list(LABELS)
    assert [found[0].text(word) for word in found[0].words] == ["Teeth,", "and", "0."]
    assert all(row.rationale is None and row.annotators is None and row.foil is None for row in found)
    assert left_out == {}


def test_ids_come_from_the_text_and_the_file_alone(read_rows):
    other = {"text": ROW["text"] + "!", "words": [*ROW["words"], "!"]}
    other |= {name: [*ROW[name], 0] for name in ("rationale", "contrastive_rationale")} | {"annotations": None}
    (first, second), _ = read_rows([ROW, ROW | other])
    (again,), _ = read_rows([ROW], **CONTRASTIVE)
    (train,), _ = read_rows([{"text": ROW["text"], "label": 0}], side="train")
    assert first.id == again.id
    assert first.id.startswith("test-")
    assert train.id == "train-" + first.id.removeprefix("test-")
    assert len({first.id, second.id, train.id}) == 3


def test_rows_nobody_annotated_are_counted_and_an_empty_mask_stays(read_rows):
    rows = [ROW, ROW | {"rationale": None}, ROW | {"rationale": [0] * 10}]
    found, left_out = read_rows(rows)
    assert [any(row.rationale) for row in found] == [True, False]
    assert left_out == {"no_rationale": 1}


def test_a_word_of_spaces_is_no_word_and_its_mark_goes_with_it(read_rows):
    words = [*ROW["words"][:6], "  ", *ROW["words"][6:]]
    longer = {"words": words, "rationale": [*ROW["rationale"][:6], 1, *ROW["rationale"][6:]], "annotations": []}
    ((instance,), _) = read_rows([ROW | longer])
    assert marked(instance, instance.rationale) == ["fixing", "teeth", "crowns"]
    assert instance.annotators is None


BAD_ROWS = [
    ({"rationale": [0] * 9}, "`rationale` has 9 values for 10 words"),
    ({"rationale": [0] * 11}, "`rationale` has 11 values for 10 words"),
    ({"rationale": [2] * 10}, "`rationale` is not a list of 0 and 1"),
    ({"annotations": [[0] * 10, [0] * 9]}, r"`annotations\[1\]` has 9 values for 10 words"),
    ({"annotations": [[0] * 10, None]}, r"`annotations\[1\]` is not a list of 0 and 1"),
    ({"label": 5}, "`label` 5 is none of 0 psychologist, 1 surgeon, 2 nurse, 3 dentist, 4 physician"),
    ({"label": -1}, "`label` -1 is none of"),
    ({"label": None}, "`label` None is none of"),
    ({"text": " "}, "`text` is empty"),
    ({"text": None}, "`text` is empty or no string"),
    ({"words": None}, "`words` is not a list of strings"),
    ({"words": ["She", None, *ROW["words"][2:]]}, "`words` is not a list of strings"),
    ({"words": [*ROW["words"][:3], "tooth", *ROW["words"][4:]]}, "word 4, 'tooth', does not go on with the text at 't"),
    ({"words": [ROW["words"][1], ROW["words"][0], *ROW["words"][2:]]}, "word 1, .* does not go on with the text"),
    ({"words": ["", *ROW["words"][:9]]}, "the text goes on after the last word: '.'"),
    ({"text": ROW["text"] + " More."}, "the text goes on after the last word: 'More.'"),
    ({"text": "Teeth."}, "word 1, 'She', does not go on with the text at 'Teeth.'"),
]
BAD_LABELS_AND_SHAPES = [
    ({"label": "Dentist"}, "standard", "`label` 'Dentist' is none of"),
    ({"label": True}, "standard", "`label` True is none of"),
    ({"label": ["nurse"]}, "standard", r"`label` \['nurse'\] is none of"),
    ({"annotations": 3}, "standard", "`annotations` is not a list of masks"),
    ({"rationale": "0001"}, "standard", "`rationale` is not a list of 0 and 1"),
    ({"words": "She"}, "standard", "`words` is not a list of strings"),
    ({"foil": 3}, "contrastive", "the foil is the label itself, 'dentist'"),
    ({"foil": None}, "contrastive", "`foil` None is none of"),
    ({"contrastive_rationale": [1]}, "contrastive", "`contrastive_rationale` has 1 values for 10 words"),
]


@pytest.mark.parametrize(("change", "message"), BAD_ROWS)
def test_a_bad_row_is_an_error_that_names_it_or_is_left_out(read_rows, change, message):
    rows = [ROW, ROW | change, ROW]
    with pytest.raises(UserError, match=rf"test\.(jsonl|parquet): row 2: {message}"):
        read_rows(rows)
    found, left_out = read_rows(rows, bad_rows="leave_out")
    assert [row.text(row.words[0]) for row in found] == ["She", "She"]
    assert left_out == {"bad_row": 1}


@pytest.mark.parametrize("read_rows", ["jsonl"], indirect=True)
@pytest.mark.parametrize(("change", "setting", "message"), BAD_LABELS_AND_SHAPES)
def test_a_bad_row_that_only_json_or_one_setting_can_have(read_rows, change, setting, message):
    with pytest.raises(UserError, match=rf"test\.jsonl: row 1: {message}"):
        read_rows([ROW | change], setting=setting)
    found, left_out = read_rows([ROW | change, ROW], setting=setting, bad_rows="leave_out")
    assert (len(found), left_out) == (1, {"bad_row": 1})


@pytest.mark.parametrize("missing", ["text", "label", "words", "rationale", "contrastive_rationale"])
def test_a_file_without_a_column_is_refused_even_if_bad_rows_may_go(read_rows, missing):
    setting = "contrastive" if missing == "contrastive_rationale" else "standard"
    with pytest.raises(UserError, match=rf"test\.\w+(: row 1)?: there is no '{missing}'"):
        read_rows([without(missing)], setting=setting, bad_rows="leave_out")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("He’s “new”", ["He", "'s", '"', "new", '"']),
        ('He\'s "new"', ["He", "’s", "“", "new", "”"]),
        ("Dr.\xa0No  can", ["Dr. No", "can"]),
        (unicodedata.normalize("NFD", "René à Orléans"), ["René", "à", "Orléans"]),
        ("René", [unicodedata.normalize("NFD", "René")]),
        ("wait… no", ["wait", "...", "no"]),
        ("a a a", ["a", "a", "a"]),
        (" no space.at all ", ["no", "space", ".", "at", "all"]),
    ],
)
def test_words_are_found_though_quotes_spaces_or_accents_are_written_otherwise(text, words):
    found = locate(text, words)
    assert len(found) == len(words)
    # Every character but spaces is in exactly one word, and the words come in order.
    covered = "".join(text[word.start : word.end] for word in found)
    assert covered.replace("\xa0", "") == "".join(text.split())
    assert [word.start for word in found] == sorted({word.start for word in found})


@given(st.lists(st.tuples(st.text("ab’'.é", min_size=1, max_size=5), st.sampled_from(["", " ", "  ", "\n"]))))
def test_words_joined_with_any_spaces_are_found_where_they_were_put(parts):
    text, expected = "", []
    for word, space in parts:
        expected.append(Word(0, len(text), len(text) + len(word)))
        text += word + space
    assert locate(text, [word for word, _ in parts]) == tuple(expected)


def test_a_word_that_is_only_part_of_the_text_is_not_looked_for_further_on():
    with pytest.raises(RowError, match="word 2, 'b', does not go on with the text at 'a b'"):
        locate("a a b", ["a", "b"])


def test_the_archive_is_read_as_the_hub_leaves_it_by_the_entry_of_config_yaml(tmp_path):
    entry = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["corpora"]["medical_bios"]
    (name,) = entry["source"]["files"]
    rows = {"bios/standard_train.jsonl": {"text": "She fills.", "label": 3}, "bios/rationales.jsonl": ROW}
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for path, row in rows.items():
            archive.writestr(path, json.dumps(row) + "\n")
    spec = {"archive": [], **{key: entry[key] for key in ("train", "test", "bad_rows", "setting")}}
    found = {side: [row.fields["text"] for row in read(tmp_path, spec, side, Counter())] for side in ("train", "test")}
    assert found == {"train": ["She fills."], "test": [ROW["text"]]}


def test_a_damaged_parquet_file_is_one_message(tmp_path):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([ROW]), sink)
    (tmp_path / "test.parquet").write_bytes(sink.getvalue()[:-20])
    with pytest.raises(UserError, match=r"test\.parquet: not a whole Parquet file"):
        list(read(tmp_path, SPEC | {"bad_rows": "leave_out"}, "test", Counter()))


@pytest.fixture(scope="module")
def real():
    """``real(side, **changes of the spec)``: the instances of the publisher's rows; none may be left out."""
    if not REAL.is_dir():
        pytest.skip("the optional corpus rows (MedicalBios) are absent")

    def found(side, **changes):
        left_out = Counter()
        spec = SPEC | {"train": ["standard_train.jsonl"], "test": ["rationales.jsonl"]} | changes
        instances = list(read(REAL, spec, side, left_out))
        assert not left_out
        for instance in instances:
            check(instance, "real")
        assert len({row.id for row in instances}) == len(instances)
        return instances

    return found


@pytest.mark.parametrize(("setting", "column"), [("standard", "rationale"), ("contrastive", "contrastive_rationale")])
def test_the_publishers_test_rows_are_read_whole(real, setting, column):
    found = real("test", setting=setting)
    lines = (REAL / "rationales.jsonl").read_text(encoding="utf-8").split("\n")
    given_rows = [json.loads(line) for line in lines if line]
    assert len(found) == len(given_rows) == 103
    for row, given_row in zip(found, given_rows, strict=True):
        assert [row.text(word) for word in row.words] == given_row["words"]
        assert list(row.rationale) == [value == 1 for value in given_row[column]]
        if setting == "standard":
            assert [list(map(int, mask)) for mask in row.annotators] == given_row["annotations"]
        else:
            assert row.foil == LABELS[given_row["foil"]]
            assert row.annotators is None


def test_the_publishers_train_rows_are_read_whole(real):
    found = real("train")
    assert len(found) == 906
    assert Counter(row.label for row in found)["psychologist"] == 392
