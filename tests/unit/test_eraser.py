"""Corpora in ERASER's layout: words and masks against the raw files, shortening, the other corpora, bad input."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from rationale_eval.corpora.eraser import read
from rationale_eval.corpora.instances import check
from rationale_eval.corpora.treebank import normalised
from rationale_eval.errors import UserError

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "fever" / "fever.tar.gz"
SPEC = {
    "archive": [],
    "train": ["fever/train.jsonl"],
    "test": ["fever/test.jsonl"],
    "bad_rows": "error",
    "docs": "fever/docs",
    "query_field": "claim",
    "document_field": "evidence",
    "evidence_groups": "union",
    "max_words": None,
    "labels": None,
}
RIVER = "The river -LRB- old -RRB- is n't long .\n\nIt is deep .\nBoats call it `` home '' .\n"
TOWN = "A town .\r\nIts mayor sails ."


def span(docid, start, end, text=None):
    return {
        "docid": docid,
        "start_token": start,
        "end_token": end,
        "start_sentence": 0,
        "end_sentence": 1,
        "text": text,
    }


def row(number=1, **changes):
    plain = {
        "annotation_id": f"row-{number}",
        "classification": "SUPPORTS",
        "query": "The river is deep.",
        "docids": ["River"],
        "evidences": [[span("River", 9, 13, "It is deep .")]],
        "query_type": None,
    }
    return {**plain, **changes}


def lines(rows):
    return "".join(json.dumps(line) + "\n" for line in rows)


@pytest.fixture
def corpus(tmp_path):
    """Writes ``fever/test.jsonl`` and ``fever/train.jsonl`` with the same rows, and the documents; gives the source."""

    def write(rows, docs=None):
        for name in ("test", "train"):
            path = tmp_path / "fever" / f"{name}.jsonl"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(rows if isinstance(rows, bytes) else lines(rows).encode())
        for docid, text in ({"River": RIVER, "Town": TOWN} if docs is None else docs).items():
            path = tmp_path / "fever" / "docs" / docid
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    return write


def instances(source, side="test", **changes):
    left_out = Counter()
    found = list(read(source, {**SPEC, **changes}, side, left_out))
    for instance in found:
        check(instance, "test")
    return found, left_out


def marked(instance):
    return [instance.text(word) for word, mark in zip(instance.words, instance.rationale, strict=True) if mark]


def test_a_row_has_query_and_document_and_words_of_the_document_only(corpus):
    (instance,), left_out = instances(corpus([row()]))
    assert instance.id == "row-1"
    assert instance.label == "SUPPORTS"
    assert instance.annotators is None
    assert dict(instance.fields) == {
        "claim": "The river is deep.",
        "evidence": 'The river (old) isn\'t long. It is deep. Boats call it "home".',
    }
    assert {word.field for word in instance.words} == {1}
    assert " ".join(map(instance.text, instance.words)) == (
        'The river ( old ) is n\'t long . It is deep . Boats call it " home " .'
    )
    assert marked(instance) == ["It", "is", "deep", "."]
    assert not left_out


def test_a_query_field_of_none_shows_no_query_and_the_query_may_be_missing(corpus):
    bare = row()
    del bare["query"]
    (instance,), _ = instances(corpus([bare]), query_field=None, labels={"SUPPORTS": "true"})
    assert list(instance.fields) == ["evidence"]
    assert {word.field for word in instance.words} == {0}
    assert instance.label == "true"


@pytest.mark.parametrize(
    ("evidence_groups", "expected"),
    [("union", ["The", "river", "deep", ".", "Boats"]), ("first", ["deep", "."])],
)
def test_alternative_groups_are_united_or_the_first_counts(corpus, evidence_groups, expected):
    groups = [[], [span("River", 11, 13, "deep  .")], [span("River", 13, 14), span("River", 0, 2)]]
    (instance,), _ = instances(corpus([row(evidences=groups)]), evidence_groups=evidence_groups)
    assert marked(instance) == expected


@pytest.mark.parametrize("listed", [["Town", "River"], ["River", "Town"]])
def test_several_documents_stand_in_the_order_of_docids_with_an_empty_line_between(corpus, listed):
    groups = [[span("Town", 3, 6, "Its mayor sails"), span("River", 0, 2, "The river")]]
    (instance,), _ = instances(corpus([row(docids=listed, evidences=groups)]))
    texts = {
        "Town": "A town. Its mayor sails.",
        "River": 'The river (old) isn\'t long. It is deep. Boats call it "home".',
    }
    assert instance.fields["evidence"] == "\n\n".join(texts[docid] for docid in listed)
    parts = {"Town": ["Its", "mayor", "sails"], "River": ["The", "river"]}
    assert marked(instance) == [word for docid in listed for word in parts[docid]]


def test_the_layout_of_movies_names_documents_by_evidence_or_by_the_row(corpus):
    rows = [
        row(annotation_id="neg_1.txt", docids=None, evidences=[[span("neg_1.txt", 0, 1)], [span("neg_1.txt", 2, 4)]]),
        row(annotation_id="other", docids=None, evidences=[[span("neg_1.txt", 1, 2)]]),
        row(annotation_id="pos_1.txt", evidences=[]),
    ]
    del rows[0]["docids"]
    rows[2]["docids"] = []
    source = corpus(rows, {"neg_1.txt": "dull and far too long .\n", "pos_1.txt": "fine .\n"})
    found, _ = instances(source, "train", query_field=None)
    assert [marked(instance) for instance in found[:2]] == [["dull", "far", "too"], ["and"]]
    assert (found[2].fields, found[2].rationale) == ({"evidence": "fine."}, None)


def test_documents_may_be_lines_of_a_file(corpus):
    source = corpus([row(docids=["p", 7], evidences=[[span(7, 1, 2, "sleeps")]])])
    documents = [
        {"docid": "p", "document": "A dog ."},
        {"docid": 7, "document": "It sleeps ."},
        {"docid": "unused", "document": None},
    ]
    (source / "fever" / "docs.jsonl").write_text(lines(documents))
    (instance,), _ = instances(source, docs="fever/docs.jsonl")
    assert instance.fields["evidence"] == "A dog.\n\nIt sleeps."
    assert marked(instance) == ["sleeps"]


def test_only_the_space_parts_tokens_and_empty_lines_have_none(corpus):
    text = "  a\u00a0b   c \n \n\u00a0\nd \u00a0 e\rf\n"
    (instance,), _ = instances(corpus([row(docids=["odd"], evidences=[[span("odd", 1, 5)]])], {"odd": text}))
    assert [instance.text(word) for word in instance.words] == ["a\u00a0b", "c", "d", "e", "f"]
    assert marked(instance) == ["c", "d", "e"]


@pytest.mark.parametrize(
    ("max_words", "expected", "sentences_left_out"),
    [
        (20, 'The river (old) isn\'t long. It is deep. Boats call it "home".', 0),
        (19, "The river (old) isn't long. It is deep.", 1),
        (13, "The river (old) isn't long. It is deep.", 1),
        (12, "It is deep.", 2),
        (4, "It is deep.", 2),
    ],
)
def test_max_words_keeps_evidence_and_fills_with_whole_sentences_from_the_start(
    corpus, max_words, expected, sentences_left_out
):
    (instance,), left_out = instances(corpus([row()]), max_words=max_words)
    assert instance.fields["evidence"] == expected
    assert marked(instance) == ["It", "is", "deep", "."]
    assert left_out == Counter({"sentences_of_long_documents": sentences_left_out})


def test_filling_stops_at_the_first_sentence_that_does_not_fit(corpus):
    source = corpus([row(docids=["d"], evidences=[[span("d", 1, 2)]])], {"d": "a e .\nb b b b b b .\nc .\n"})
    (instance,), left_out = instances(source, max_words=6)
    assert instance.fields["evidence"] == "a e."
    assert left_out == Counter({"sentences_of_long_documents": 2})


@pytest.mark.parametrize("evidence_groups", ["union", "first"])
def test_evidence_of_no_group_is_ever_cut(corpus, evidence_groups):
    rows = [row(evidences=[[span("River", 9, 10)], [span("River", 18, 19)]])]
    source = corpus(rows)
    (instance,), _ = instances(source, max_words=11, evidence_groups=evidence_groups)
    assert instance.fields["evidence"] == 'It is deep. Boats call it "home".'
    assert instances(source, max_words=10, evidence_groups=evidence_groups) == ([], Counter({"evidence_too_long": 1}))


def test_rows_without_evidence_stay_in_train_only(corpus):
    source = corpus([row(1, evidences=None), row(2, evidences=[[]]), row(3)])
    found, left_out = instances(source, "train")
    assert [instance.rationale is None for instance in found] == [True, True, False]
    assert not left_out
    found, left_out = instances(source, "test")
    assert [instance.id for instance in found] == ["row-3"]
    assert left_out == Counter({"no_evidence": 2})
    found, left_out = instances(source, "train", max_words=4)
    assert [instance.id for instance in found] == ["row-3"]
    assert left_out == Counter({"first_sentence_too_long": 2, "sentences_of_long_documents": 2})


BAD_ROWS = {
    "span past the end": (row(evidences=[[span("River", 9, 21)]]), r"evidence \[9, 21\) lies outside document 'River'"),
    "negative span": (row(evidences=[[span("River", -1, 2)]]), r"evidence \[-1, 2\) lies outside"),
    "empty span": (row(evidences=[[span("River", 2, 2)]]), r"\[2, 2\) lies outside document 'River', which has 20 tok"),
    "span turned round": (row(evidences=[[span("River", 5, 2)]]), r"\[5, 2\) lies outside"),
    "span of text": (row(evidences=[[span("River", "1", "2")]]), "must be whole numbers, not '1' and '2'"),
    "span of truth": (row(evidences=[[span("River", False, True)]]), "must be whole numbers, not False and True"),
    "text disagrees": (
        row(evidences=[[span("River", 9, 13, "It is wide .")]]),
        r"\[9, 13\) of document 'River' is said to read 'It is wide .', but its tokens are 'It is deep .'",
    ),
    "missing document": (row(docids=["Lake"], evidences=[]), "there is no document 'Lake'"),
    "path as document": (row(docids=["../test.jsonl"], evidences=[]), "there is no document '../test.jsonl'"),
    "missing document of a row": (row(docids=None, evidences=[]), "there is no document 'row-1'"),
    "document not listed": (row(docids=["Town"]), r"evidence is in document 'River', which is not .* \['Town'\]"),
    "empty document": (row(docids=["Empty", "River"]), "the document 'Empty' is empty"),
    "nameless document": (row(docids=[""]), "the name of a document must be a text, not ''"),
    "docids no list": (row(docids="River"), "`docids` must be a list or null, not 'River'"),
    "evidence not in groups": (row(evidences=[span("River", 0, 1)]), "must be a list of groups"),
    "evidence no list": (row(evidences="all"), "must be a list of groups"),
    "span without places": (row(evidences=[[{"docid": "River"}]]), "needs `docid`, `start_token` and `end_token`"),
    "span no object": (row(evidences=[[[0, 1]]]), r"this one is \[0, 1\]"),
    "unknown label": (row(classification="MAYBE"), r"classification 'MAYBE' is not one of \['SUPPORTS'\] in `labels`"),
    "label no text": (row(classification=1), "`classification` must be a text, not 1"),
    "empty query": (row(query=" "), "`query` must be a text, not ' '"),
    "query no text": (row(query=["a"]), "`query` must be a text"),
    "empty id": (row(annotation_id=""), "`annotation_id` must be a text, not ''"),
}


@pytest.mark.parametrize(("bad", "message"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_a_bad_row_is_an_error_with_its_place_or_is_left_out_and_counted(corpus, bad, message):
    source = corpus([row(0), bad], {"River": RIVER, "Town": TOWN, "Empty": " \n"})
    with pytest.raises(UserError, match=message) as refusal:
        instances(source, labels={"SUPPORTS": "true"})
    assert f"test.jsonl: row 2 (annotation_id {bad['annotation_id']!r}): " in str(refusal.value)
    found, left_out = instances(source, labels={"SUPPORTS": "true"}, bad_rows="leave_out")
    assert [instance.id for instance in found] == ["row-0"]
    assert left_out == Counter({"bad_row": 1})


BAD_FILES = {
    "no JSON": (lines([row()]).encode() + b'{"annotation_id": \n', None, "test.jsonl: row 2 is not JSON"),
    "missing key": (b'{"annotation_id": "a", "classification": "x", "query": "q"}\n', None, "evidences"),
    "rows not UTF-8": (lines([row()]).encode("utf-16"), None, "test.jsonl"),
    "document not UTF-8": ([row()], {"River": "Zürich .".encode("latin-1")}, "docs/River: the document is not UTF-8"),
    "document with NUL": ([row()], {"River": "a\0b ."}, "docs/River: the document holds a NUL byte"),
    "no documents at all": ([row()], {}, r"no file in it matches 'fever/docs/\*'; it holds 2"),
}


@pytest.mark.parametrize(("rows", "docs", "message"), BAD_FILES.values(), ids=BAD_FILES.keys())
@pytest.mark.parametrize("bad_rows", ["error", "leave_out"])
def test_a_bad_file_is_an_error_whatever_is_said_of_bad_rows(corpus, rows, docs, message, bad_rows):
    with pytest.raises(UserError, match=message):
        instances(corpus(rows, docs), bad_rows=bad_rows)


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([{"docid": "River", "document": ["a"]}], "docs.jsonl: row 1: the document 'River' is not a string"),
        ([{"docid": "River", "document": RIVER}] * 2, "docs.jsonl: row 2: the document 'River' was there before"),
        ([{"docid": "River"}], "docs.jsonl: row 1.*document"),
    ],
)
def test_a_bad_file_of_documents_is_an_error(corpus, documents, message):
    source = corpus([row()])
    (source / "fever" / "docs.jsonl").write_text(lines(documents))
    with pytest.raises(UserError, match=message):
        instances(source, docs="fever/docs.jsonl", bad_rows="leave_out")


def packed(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_bad_archives_are_refused(tmp_path):
    sound = packed({"fever/test.jsonl": lines([row()]).encode(), "fever/docs/River": RIVER.encode()})
    evil = packed({"fever/test.jsonl": lines([row()]).encode(), "fever/docs/../../River": RIVER.encode()})
    path = tmp_path / "fever.tar.gz"
    path.write_bytes(sound)
    assert len(instances(path)[0]) == 1
    for content, message in [
        (sound[:-40], "not a whole tar or zip archive"),
        (evil, r"fever/docs/\.\./\.\./River: has an absolute path or one with `..`"),
    ]:
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            instances(path)


@pytest.fixture(scope="module")
def raw():
    """The rows and the documents of the real corpus, read with nothing but the standard library."""
    if not REAL.exists():
        pytest.skip("the optional corpus rows (FEVER) are absent")
    rows, docs = {}, {}
    with tarfile.open(REAL) as tar:
        for member in tar:
            content = tar.extractfile(member).read().decode()
            folder, _, name = member.name.rpartition("/")
            if folder == "fever/docs":
                docs[name] = content.split()
            else:
                rows[name] = [json.loads(line) for line in content.splitlines()]
    return rows, docs


@pytest.mark.parametrize("evidence_groups", ["union", "first"])
def test_all_real_test_rows_have_exact_words_and_marks(raw, evidence_groups):
    rows, docs = raw
    found, left_out = instances(REAL, evidence_groups=evidence_groups)
    assert not left_out
    assert [instance.id for instance in found] == [line["annotation_id"] for line in rows["test.jsonl"]]
    assert len(found) == 2192
    for instance, line in zip(found, rows["test.jsonl"], strict=True):
        (docid,) = line["docids"]
        assert instance.fields["claim"] == line["query"]
        assert [instance.text(word) for word in instance.words] == [normalised(token) for token in docs[docid]]
        groups = line["evidences"] if evidence_groups == "union" else line["evidences"][:1]
        places = {
            place for group in groups for item in group for place in range(item["start_token"], item["end_token"])
        }
        assert [place for place, mark in enumerate(instance.rationale) if mark] == sorted(places)


def test_the_share_of_marked_words_and_of_alternative_groups_is_that_of_the_corpus(raw):
    rows, _ = raw
    shares = {}
    for groups in ("union", "first"):
        found, _ = instances(REAL, evidence_groups=groups)
        shares[groups] = sum(sum(instance.rationale) / len(instance.words) for instance in found) / len(found)
    assert shares["union"] == pytest.approx(0.217, abs=0.001)
    assert shares["first"] < shares["union"]
    alternative = sum(len(line["evidences"]) > 1 for line in rows["test.jsonl"]) / len(rows["test.jsonl"])
    assert alternative == pytest.approx(0.155, abs=0.001)


@pytest.mark.usefixtures("raw")
def test_shortened_real_rows_keep_all_their_evidence():
    whole = {instance.id: instance for instance in instances(REAL)[0]}
    found, left_out = instances(REAL, max_words=120)
    assert len(found) + left_out["evidence_too_long"] == len(whole)
    assert left_out["sentences_of_long_documents"] > len(found)
    for instance in found:
        assert len(instance.words) <= 120
        assert marked(instance) == marked(whole[instance.id])


def test_the_document_is_the_group_of_a_row_that_has_one(corpus):
    both = row(2, docids=["River", "Town"])
    unnamed = row(3, docids=None)
    found, _ = instances(corpus([row(), both, unnamed]))
    assert [instance.group for instance in found] == ["River", None, "River"]


def test_real_rows_are_grouped_by_document_and_no_document_is_on_both_sides(raw):
    rows, _ = raw
    sides = {}
    for side in ("train", "test"):
        found, _ = instances(REAL, side)
        assert [[instance.group] for instance in found] == [line["docids"] for line in rows[f"{side}.jsonl"]]
        sides[side] = {instance.group for instance in found}
    assert len(sides["test"]) == 243
    assert not sides["train"] & sides["test"]
