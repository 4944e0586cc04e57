"""Corpus cards on the page: what is said of numbers that are missing, and that terms stand wherever texts do."""

from __future__ import annotations

from pathlib import Path

import pytest
from rationale_eval.errors import UserError
from rationale_eval.models.task import Task
from rationale_eval.report.cards import ceiling, corpus_card, facts, label_rows, terms
from rationale_eval.report.layout import Cell
from rationale_eval.report.record import Record
from rationale_eval.tables import write_json
from report_trees import BIDI, HOSTILE, IMAGE, SCRIPT, Elements, run, write_cell

# One worker makes the report that the tests share.
pytestmark = pytest.mark.xdist_group("report_cards")

KNOWN = {
    "rows": 60,
    "fewest": 3,
    "most": 3,
    "alpha": 0.446,
    "pairwise_f1": 0.626,
    "pairwise_f1_rows": 59,
    "leave_one_out_f1": 0.585,
    "leave_one_out_f1_rows": 58,
    "f1_with_rationale": 0.805,
    "f1_with_rationale_rows": 58,
}
CARD = {
    "name": "films",
    "marked_by": "people",
    "train_rows": 100,
    "train_annotated": 100,
    "train_labels": {"no": 25, "yes": 75},
    "test_rows": 60,
    "test_labels": {"no": 30, "yes": 30},
    "words_per_row": 20.125,
    "words_median": 18.5,
    "words_most": 40,
    "marked_per_row": 3.2,
    "share_marked": 0.159,
    "no_gold": 0,
    "test_rows_grouped": 60,
    "test_rows_sharing": 0,
    "annotators": KNOWN,
    "sources": [{"path": "/home/someone/data/films.tar.gz", "sha256": "0f" * 32}],
    "left_out": {"train": {}, "test": {}},
}
ANSWERS = {"no": "No", "yes": "Yes"}


def fact(term, **changes):
    """What the card says under ``term``, None where it says nothing."""
    return dict(facts(CARD | changes)).get(term)


def test_terms_that_the_configuration_leaves_empty_are_not_there():
    given = dict.fromkeys(("description", "annotation", "licence", "privacy", "citation"), "text")
    optional = {"What it is", "Licence", "Privacy", "Citation"}
    assert optional <= set(dict(facts(CARD | given)))
    for card in (CARD, CARD | dict.fromkeys(given, "")):
        assert not optional & set(dict(facts(card)))
        assert dict(facts(card))["Human rationale"] == "The corpus card does not say how the words were marked."


@pytest.mark.parametrize(
    ("term", "changes", "text"),
    [
        ("Rows", {}, "100 train and 60 test rows"),
        ("Rows", {"train_annotated": 9}, "100 train and 60 test rows; 9 of the train rows have marks"),
        ("Left out", {}, "no row"),
        (
            "Left out",
            {"left_out": {"before_split": {"bad_row": 2}, "train": {}, "test": {"no_rationale": 3}}},
            "before the split: bad row 2; test: no rationale 3",
        ),
        ("Solved examples", {"train_marked": {"no": 25, "yes": 75}}, None),
        ("Solved examples", {"train_marked": {"no": 0, "yes": 0}}, None),
        (
            "Solved examples",
            {"train_marked": {"civil": 0, "toxic": 3}},
            "of explanations, where a prompt shows any: none is of “civil”, of which no train row has a marked word",
        ),
        ("To be checked", {}, None),
        (
            "To be checked",
            {"notes": {"train": {"odd_thing": 9}, "test": {"annotators_tied": 7, "odd_thing": 1}}},
            "7 of 60 test rows: as many annotators marked some word as did not; the majority leaves it unmarked; "
            "1 of 60 test rows: odd thing",
        ),
        (
            "Left out",
            {"left_out": {"train": {"no_label": 1, "bad_row": 2}, "test": {"no_annotation": 3}}},
            "train: bad row 2, no label 1; test: no annotation 3",
        ),
        ("Documents", {}, "none of the 60 test rows shares a document with train rows"),
        ("Documents", {"test_rows_sharing": 1}, "1 of the 60 test rows shares a document with train rows"),
        (
            "Documents",
            {"test_rows_grouped": 50, "test_rows_sharing": 12},
            "12 of the 50 test rows (of 60) whose document is known share a document with train rows",
        ),
        (
            "Documents",
            {"test_rows_grouped": 0, "test_rows_sharing": None},
            "the source does not say which rows are from the same document, so train and test rows may share some",
        ),
        ("Documents", {"test_rows_grouped": 0, "test_rows_sharing": None, "format": "planted"}, None),
        ("Words", {}, "20.12 per test row (median 18.5, at most 40)"),
        ("Words", {"words_median": 18}, "20.12 per test row (median 18, at most 40)"),
        ("Marked", {}, "3.20 words per test row, 16\N{NO-BREAK SPACE}% of all"),
        (
            "Marked",
            {"no_gold": 2},
            "3.20 words per test row, 16\N{NO-BREAK SPACE}% of all; "
            "rows without any, which have no alignment (no gold): 2",
        ),
        ("Annotators", {}, "3 per row"),
        ("Annotators", {"annotators": KNOWN | {"fewest": 1, "rows": 50}}, "1 to 3 per row, in 50 of 60 test rows"),
        (
            "Annotators",
            {"annotators": None},
            "the source has one set of marks per row: agreement and ceiling are not known",
        ),
        (
            "Annotators",
            {"annotators": KNOWN | {"fewest": 1, "most": 1}},
            "1 per row: agreement and ceiling are not known",
        ),
        (
            "Agreement",
            {},
            "Krippendorff’s alpha 0.45 over words (0 is chance, 1 full agreement); F1 of two annotators 0.63 "
            "(n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}59)",
        ),
        ("Agreement", {"annotators": None}, None),
        ("Agreement", {"annotators": KNOWN | {"fewest": 1, "most": 1}}, None),
        ("Ceiling", {"annotators": KNOWN | {"leave_one_out_f1": None}}, "not defined"),
        ("Ceiling", {"annotators": None}, None),
        # The folders above a source tell of a machine and its user.
        ("Source", {}, f"films.tar.gz, SHA-256 {'0f' * 32}"),
        ("Source", {"sources": []}, "a folder; no checksum was recorded"),
        ("Source", {"sources": [], "format": "table"}, "a folder; no checksum was recorded; read as table"),
    ],
)
def test_a_fact_in_words(term, changes, text):
    assert fact(term, **changes) == text


def test_an_alpha_that_is_not_defined_is_no_number():
    assert "alpha \N{EN DASH} over words" in fact("Agreement", annotators=KNOWN | {"alpha": None})


def test_the_ceiling_says_what_it_is_or_nothing():
    text = ceiling(CARD)
    assert text.startswith("leave-one-annotator-out F1 0.58 (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}58), one annotator")
    assert "; 0.81 against the rationale" in ceiling(CARD | {"annotators": KNOWN | {"f1_with_rationale": 0.806}})
    assert "against the rationale" not in ceiling(CARD | {"annotators": KNOWN | {"f1_with_rationale": None}})
    assert ceiling(CARD | {"annotators": None}) is None
    assert ceiling(CARD | {"annotators": KNOWN | {"leave_one_out_f1": None}}) is None


def test_terms_name_licence_and_privacy():
    assert terms({}) == "licence: not named in the corpus card"
    assert terms({"licence": "CC BY", "privacy": ""}) == "licence: CC BY"
    assert terms({"licence": "CC BY", "privacy": "names"}) == "licence: CC BY; privacy: names"


def test_labels_of_both_sides_with_the_tokens_of_each_model():
    recorded = {
        "one": {"no": {"text": "nope", "tokens": 2}, "yes": {"text": "Yes", "tokens": 1}},
        "two": {"no": {"text": "nope", "tokens": 3}},
    }
    card = CARD | {"train_labels": {"yes": 75, "odd": 25}}
    rows = label_rows(card, ANSWERS, recorded)
    space = "\N{NO-BREAK SPACE}"
    assert [(row.label, row.train, row.test) for row in rows] == [
        ("no", f"0 (0{space}%)", f"30 (50{space}%)"),
        ("yes", f"75 (75{space}%)", f"30 (50{space}%)"),
        ("odd", f"25 (25{space}%)", f"0 (0{space}%)"),
    ]
    # The answer that was asked for stands before that of the prompt file; a label without one is shown all the same.
    assert [(row.answer, row.tokens) for row in rows] == [
        ("nope", ["2", "3"]),
        ("Yes", ["1", "–"]),
        ("–", ["–", "–"]),
    ]
    assert [row.tokens for row in label_rows(CARD, ANSWERS, {})] == [[], []]


def test_a_corpus_without_train_rows_has_no_shares():
    rows = label_rows(CARD | {"train_rows": 0, "train_labels": {}}, ANSWERS, {})
    assert [row.train for row in rows] == ["0 (–)", "0 (–)"]


@pytest.mark.parametrize(
    ("changes", "caveats"),
    [
        ({}, []),
        (
            {"test_rows_sharing": 12, "caveats": ["first"]},
            [
                "first",
                "12 of the 60 test rows share a document with train rows: accuracy after fine-tuning may be too high.",
            ],
        ),
        (
            {"test_rows_grouped": 0, "test_rows_sharing": None},
            [
                "The source does not say which rows are from the same document, so train and test rows may share some: "
                "accuracy after fine-tuning may be too high."
            ],
        ),
    ],
)
def test_documents_that_are_shared_or_not_known_are_a_caveat(tmp_path, changes, caveats):
    write_json(tmp_path / "corpora" / "films" / "card.json", CARD | changes)
    task = Task(1, ("text",), (("Film: ", None), ("", "text")), ANSWERS)
    assert corpus_card("films", tmp_path, task, []).caveats == caveats


def record(corpus, model, name, **made):
    return Record(Cell(corpus, model, "base"), name, Path("nowhere"), "0", made)


def test_tokens_are_those_of_the_corpus_and_of_models_that_recorded_them(tmp_path):
    write_json(tmp_path / "corpora" / "films" / "card.json", CARD)
    task = Task(1, ("text",), (("Film: ", None), ("", "text")), ANSWERS)
    counted = {"no": {"text": "No", "tokens": 1}, "yes": {"text": "Yes", "tokens": 2}}
    made = [
        record("films", "one", "predictions", verbaliser_tokens=counted),
        record("films", "bought", "predictions"),
        record("films", "three", "alignment", verbaliser_tokens=counted),
        record("other", "four", "predictions", verbaliser_tokens=counted),
    ]
    card = corpus_card("films", tmp_path, task, made)
    assert (card.name, card.models, card.instruction) == ("films", ["one"], "Film: {text}")
    assert [row.tokens for row in card.labels] == [["1"], ["2"]]
    assert card.caveats == []


def test_a_missing_card_is_named(tmp_path):
    with pytest.raises(UserError, match=r"corpora/films/card\.json: there is no such card"):
        corpus_card("films", tmp_path, Task(1, ("text",), (("", "text"),), ANSWERS), [])


# On the page


@pytest.fixture(scope="module")
def parsed(tmp_path_factory):
    """A page on a corpus whose card is hostile throughout, and one that has no annotators."""
    results = tmp_path_factory.mktemp("results")
    for corpus in ("marked", "proxy"):
        write_cell(results, corpus, HOSTILE, f"{SCRIPT} {IMAGE} {BIDI}", {})
        about = {key: f"{key} {HOSTILE}" for key in ("description", "annotation", "licence", "privacy", "citation")}
        card = CARD | about | {"caveats": [f"first {HOSTILE}", "second"], "test_labels": {HOSTILE: 30, "no": 30}}
        card |= {"sources": [{"path": f"/{IMAGE}", "sha256": SCRIPT}], "left_out": {"train": {SCRIPT: 2}}}
        card |= {"annotators": KNOWN if corpus == "marked" else None}
        write_json(results / "corpora" / corpus / "card.json", card)
    report = run(results, [("marked", "base"), ("proxy", "base")], drawn=False)
    html = (report / "index.html").read_text(encoding="utf-8")
    elements = Elements()
    elements.feed(html)
    assert elements.open == []
    return elements


def test_a_hostile_card_adds_no_element(parsed):
    assert not {tag for tag, _ in parsed.started} & {"script", "iframe", "object", "form"}
    assert sum(tag == "img" for tag, _ in parsed.started) == 5
    assert not [name for _, attributes in parsed.started for name in attributes if name.startswith("on")]
    text = "".join(parsed.text)
    for place in (f"first {SCRIPT}", f"licence {SCRIPT}", f"train: {SCRIPT} 2", "[U+202E]gnol[U+2066]"):
        assert place in text


def test_there_is_a_card_for_each_corpus_and_a_link_to_them(parsed):
    text = "".join(parsed.text)
    assert {"Corpus marked", "Corpus proxy"} <= {piece.strip() for piece in parsed.text}
    assert ("section", {"id": "corpora"}) in parsed.started
    assert ("a", {"href": "#corpora"}) in parsed.started
    # The model of the tree has a card of its own, with the licence that the configuration names.
    assert "Licence<script>" in "".join(text.partition("A, 1 layers, hidden size 2")[2].split())[:30]
    assert sum(attributes.get("class") == "card" for _, attributes in parsed.started) == 3
    # In the card and among the caveats of the page.
    assert text.count("first <script>") == 4


def test_the_ceiling_stands_beside_the_alignment_of_corpora_with_annotators_only(parsed):
    notes = [piece.replace("\N{NO-BREAK SPACE}", " ") for piece in parsed.text if piece.startswith("Ceiling: ")]
    assert notes == [
        "Ceiling: leave-one-annotator-out F1 0.58 (n = 58), one annotator against the majority of the others; "
        "0.81 against the rationale, in which that annotator has a say."
    ]


def test_licence_and_privacy_stand_wherever_texts_do(parsed):
    for corpus in ("marked", "proxy"):
        notes = [piece for piece in parsed.text if piece.startswith(f"Texts of {corpus}: licence: licence <script>")]
        # With the prompt as the model read it, and with the examples.
        assert len(notes) == 2
        assert all("; privacy: privacy <script>" in note for note in notes)
