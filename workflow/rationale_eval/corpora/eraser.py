"""Corpora in the layout of ERASER: rows in JSON lines, documents apart, evidence as spans of the documents' tokens.

DeYoung et al. (2020), "ERASER: A Benchmark to Evaluate Rationalized NLP Models", ACL. A row of ``train.jsonl``,
``val.jsonl`` or ``test.jsonl`` has ``annotation_id``, ``classification``, ``query``, ``docids`` (null or absent where
the documents are those of the evidence) and ``evidences``: alternative groups of spans, each with ``docid`` and the
tokens ``start_token`` to ``end_token`` (exclusive), and mostly their ``text``. A document is a file named by its docid;
where there are too many for files, a line of ``docs.jsonl`` with ``docid`` and ``document``. A line of a document is a
sentence, spaces stand between tokens, and tokens are counted over the whole document, empty lines left out.

People could mark words of the documents only, so only these are candidates: the query is shown but has no words. It is
plain text; the documents are Treebank tokens, shown as normal text (``treebank``). Between sentences stands a space,
since lines are an artefact of sentence splitting and a prompt with one sentence a line looks like a list; between
documents stands an empty line. The document is the group of a row that has one; a row with several has none.
"""

from __future__ import annotations

import glob
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationale_eval.corpora.archive import open_members, open_named_members
from rationale_eval.corpora.instances import MAX_ROW_CHARS, Instance, Word
from rationale_eval.corpora.rows import MAX_LINE_BYTES, NO_TEXT, jsonl_rows
from rationale_eval.corpora.treebank import detokenise
from rationale_eval.errors import UserError

BAD_ROW, NO_EVIDENCE, SENTENCE = "bad_row", "no_evidence", "sentences_of_long_documents"
EVIDENCE_TOO_LONG, SENTENCE_TOO_LONG = "evidence_too_long", "first_sentence_too_long"
MAX_DOCUMENT_BYTES = 512 * 1024**2  # of memory, for all documents of a side and their names


class _BadRowError(Exception):
    """What is wrong with one row."""


class _LeftOutError(Exception):
    """The reason for which a sound row is left out."""


@dataclass(frozen=True, slots=True)
class _Span:
    """Evidence: tokens [start, end) of a document, and what they are said to read, if anything."""

    docid: str
    start: int
    end: int
    text: str | None


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of a row's documents; its tokens start at token ``first`` of all the row's documents together."""

    docid: str
    first: int
    tokens: Sequence[str]

    def any_of(self, mask: Sequence[bool]) -> bool:
        """Whether the mask over the row's tokens marks a token of this sentence."""
        return any(mask[self.first : self.first + len(self.tokens)])


def read(source: Path, spec: Mapping[str, Any], side: str, left_out: Counter[str]) -> Iterator[Instance]:
    """Yield the instances of one side ("train" or "test") in the order of the files.

    ``spec`` holds ``archive``, ``train``, ``test`` and ``bad_rows`` as for every reader; ``docs`` (path inside the
    source of the folder of documents, or of their .jsonl file), ``query_field`` (the query's field name, None: it is
    not shown), ``document_field``, ``evidence_groups`` ("union" of the alternative groups, or the "first"),
    ``max_words`` (None: documents are whole) and ``labels`` (from classifications to labels, None: as they are).

    ``max_words`` counts the documents' tokens. Every sentence with evidence of any group stays whole, so that the text
    does not depend on ``evidence_groups``; then come the other sentences from the start, up to the first that does not
    fit. Nothing marks the gaps.

    Counted in ``left_out``: ``no_evidence`` (test rows; train rows stay without a rationale), ``evidence_too_long``
    and ``first_sentence_too_long`` (rows of which ``max_words`` leaves nothing), ``bad_row`` if ``bad_rows`` is
    "leave_out", and ``sentences_of_long_documents``: not rows, but the sentences that ``max_words`` cost the rows that
    stay.
    Raises ``UserError`` for a file that is no such JSONL, for documents that are not there at all or not UTF-8, and,
    if ``bad_rows`` is "error", for a bad row. The side's documents are held in memory, which may take no more than
    ``MAX_DOCUMENT_BYTES``, and the rows are read twice; a row's documents are no longer than ``MAX_ROW_CHARS``.
    """
    wanted: set[str] = set()
    held = _Held()
    for place, row in _rows(source, spec, side):
        with suppress(_BadRowError):
            for docid in _docids(row, _groups(row)):
                if docid not in wanted:
                    held.add(docid, place)
                    wanted.add(docid)
    documents = _documents(source, spec, wanted, held) if wanted else {}
    for place, row in _rows(source, spec, side):
        try:
            instance, shortened_by = _instance(row, documents, spec, side)
        except _LeftOutError as reason:
            left_out[str(reason)] += 1
        except _BadRowError as fault:
            if spec["bad_rows"] == "error":
                raise UserError(f"{place} (annotation_id {row['annotation_id']!r}): {fault}") from None
            left_out[BAD_ROW] += 1
        else:
            if shortened_by:
                left_out[SENTENCE] += shortened_by
            yield instance


class _Held:
    """Counts the memory that texts take which are held."""

    def __init__(self) -> None:
        self._bytes = 0

    def add(self, text: str, place: str) -> None:
        """Count ``text``, of ``place``; raises ``UserError`` past ``MAX_DOCUMENT_BYTES``."""
        self._bytes += sys.getsizeof(text) + 64  # and its place in a table
        if self._bytes > MAX_DOCUMENT_BYTES:
            raise UserError(f"{place}: the documents of this side take more than {MAX_DOCUMENT_BYTES} bytes of memory")


def _rows(source: Path, spec: Mapping[str, Any], side: str) -> Iterator[tuple[str, dict[str, Any]]]:
    needed = ["annotation_id", "classification", "evidences", *(["query"] if spec["query_field"] else [])]
    for where, stream in open_members(source, spec["archive"], spec[side]):
        yield from jsonl_rows(where, stream, needed)


def documents_pattern(docs: str) -> str:
    """The pattern of the documents' files: of all in the folder ``docs``, or of that very file if it is a .jsonl."""
    docs = docs.removeprefix("./").rstrip("/")
    return docs if docs.endswith(".jsonl") else f"{glob.escape(docs)}/*"


def _documents(source: Path, spec: Mapping[str, Any], wanted: set[str], held: _Held) -> dict[str, str]:
    """The texts of those of the ``wanted`` documents that are there; ``held`` counts them."""
    docs = spec["docs"].removeprefix("./").rstrip("/")
    pattern = documents_pattern(spec["docs"])
    found = {}
    if docs.endswith(".jsonl"):
        for where, stream in open_members(source, spec["archive"], [pattern]):
            for place, row in jsonl_rows(where, stream, ["docid", "document"]):
                docid = str(row["docid"])
                if docid not in wanted:
                    continue
                if not isinstance(row["document"], str):
                    raise UserError(f"{place}: the document {docid!r} is not a string")
                if docid in found:
                    raise UserError(f"{place}: the document {docid!r} was there before")
                held.add(row["document"], place)
                found[docid] = row["document"]
        return found
    for name, where, stream in open_named_members(source, spec["archive"], [pattern]):
        docid = name.removeprefix(f"{docs}/")
        if docid in wanted:
            content = stream.read(MAX_LINE_BYTES + 1)
            if len(content) > MAX_LINE_BYTES:
                raise UserError(f"{where}: the document is larger than {MAX_LINE_BYTES} bytes, the limit of one")
            try:
                found[docid] = content.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise UserError(f"{where}: the document is not UTF-8 ({error})") from None
            held.add(found[docid], where)
            if NO_TEXT.search(found[docid]):
                raise UserError(f"{where}: the document holds a NUL byte, so it is no text")
    return found


def _instance(
    row: Mapping[str, Any], documents: Mapping[str, str], spec: Mapping[str, Any], side: str
) -> tuple[Instance, int]:
    """The instance of a row and the number of its sentences that ``max_words`` left out."""
    identifier = _text(row, "annotation_id")
    label = _text(row, "classification")
    if spec["labels"] is not None:
        if label not in spec["labels"]:
            raise _BadRowError(f"the classification {label!r} is not one of {list(spec['labels'])} in `labels`")
        label = spec["labels"][label]
    groups = _groups(row)
    docids = _docids(row, groups)
    sentences = _sentences(docids, documents)
    evidence = _mask(groups, sentences)
    if side == "test" and not groups:
        raise _LeftOutError(NO_EVIDENCE)
    kept = sentences
    if spec["max_words"] is not None:
        kept = _shortened(sentences, [sentence.any_of(evidence) for sentence in sentences], spec["max_words"])
    fields = {spec["query_field"]: _text(row, "query")} if spec["query_field"] else {}
    text, words, places = _document_text(kept, field=len(fields))
    fields[spec["document_field"]] = text
    rationale = None
    if groups:
        chosen = evidence if spec["evidence_groups"] == "union" else _mask(groups[:1], sentences)
        rationale = tuple(chosen[place] for place in places)
    group = docids[0] if len(docids) == 1 else None
    return Instance(identifier, label, fields, words, rationale, group=group), len(sentences) - len(kept)


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row[key]
    if not isinstance(value, str) or not value.strip():
        raise _BadRowError(f"`{key}` must be a text, not {value!r}")
    return value


def _groups(row: Mapping[str, Any]) -> list[list[_Span]]:
    """The alternative groups of evidence that hold any."""
    evidences = [] if row["evidences"] is None else row["evidences"]
    if not isinstance(evidences, list) or not all(isinstance(group, list) for group in evidences):
        raise _BadRowError("`evidences` must be a list of groups, each a list of spans")
    return [[_span(span) for span in group] for group in evidences if group]


def _span(span: Any) -> _Span:
    if not isinstance(span, dict) or not {"docid", "start_token", "end_token"} <= span.keys():
        raise _BadRowError(f"a span of evidence needs `docid`, `start_token` and `end_token`; this one is {span!r}")
    start, end, text = span["start_token"], span["end_token"], span.get("text")
    if type(start) is not int or type(end) is not int:
        raise _BadRowError(f"`start_token` and `end_token` must be whole numbers, not {start!r} and {end!r}")
    return _Span(_docid(span["docid"]), start, end, text if isinstance(text, str) and text else None)


def _docids(row: Mapping[str, Any], groups: Sequence[Sequence[_Span]]) -> list[str]:
    """The row's documents in order: as listed, else those of the evidence, else the one named like the row."""
    listed = row.get("docids") or []
    if not isinstance(listed, list):
        raise _BadRowError(f"`docids` must be a list or null, not {listed!r}")
    docids = [_docid(docid) for docid in listed] or [span.docid for group in groups for span in group]
    return list(dict.fromkeys(docids)) or [_docid(row["annotation_id"])]


def _docid(value: Any) -> str:
    if type(value) not in (str, int) or value == "":
        raise _BadRowError(f"the name of a document must be a text, not {value!r}")
    return str(value)


def _sentences(docids: Sequence[str], documents: Mapping[str, str]) -> list[_Sentence]:
    sentences: list[_Sentence] = []
    count = chars = 0
    for docid in docids:
        if docid not in documents:
            raise _BadRowError(f"there is no document {docid!r}")
        chars += len(documents[docid])
        if chars > MAX_ROW_CHARS:
            raise _BadRowError(f"its documents have more than {MAX_ROW_CHARS:,} characters together")
        before = count
        for line in re.split(r"\r\n|\r|\n", documents[docid]):
            # Only the space parts tokens, as in the authors' own reader: a no-break space may stand inside one.
            if tokens := [token for token in line.strip().split(" ") if token]:
                sentences.append(_Sentence(docid, count, tokens))
                count += len(tokens)
        if count == before:
            raise _BadRowError(f"the document {docid!r} is empty")
    return sentences


def _mask(groups: Sequence[Sequence[_Span]], sentences: Sequence[_Sentence]) -> list[bool]:
    """For each token of the row's documents whether a span of ``groups`` covers it."""
    tokens = [token for sentence in sentences for token in sentence.tokens]
    bounds: dict[str, tuple[int, int]] = {}
    for sentence in sentences:
        first, _ = bounds.get(sentence.docid, (sentence.first, 0))
        bounds[sentence.docid] = first, sentence.first + len(sentence.tokens)
    mask = [False] * len(tokens)
    for span in (span for group in groups for span in group):
        if span.docid not in bounds:
            raise _BadRowError(f"evidence is in document {span.docid!r}, which is not one of the row's, {list(bounds)}")
        first, last = bounds[span.docid]
        if not 0 <= span.start < span.end <= last - first:
            raise _BadRowError(
                f"evidence [{span.start}, {span.end}) lies outside document {span.docid!r}, "
                f"which has {last - first} tokens"
            )
        covered = slice(first + span.start, first + span.end)
        if span.text is not None and span.text.split() != " ".join(tokens[covered]).split():
            raise _BadRowError(
                f"evidence [{span.start}, {span.end}) of document {span.docid!r} is said to read {_cut(span.text)}, "
                f"but its tokens are {_cut(' '.join(tokens[covered]))}"
            )
        mask[covered] = [True] * (span.end - span.start)
    return mask


def _cut(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _shortened(sentences: Sequence[_Sentence], needed: Sequence[bool], max_words: int) -> list[_Sentence]:
    """The ``needed`` sentences and, from the start, as many of the others as fit into ``max_words``."""
    room = max_words - sum(len(sentence.tokens) for sentence, need in zip(sentences, needed, strict=True) if need)
    if room < 0:
        raise _LeftOutError(EVIDENCE_TOO_LONG)
    kept = []
    for sentence, need in zip(sentences, needed, strict=True):
        if not need:
            room -= len(sentence.tokens)
        if need or room >= 0:
            kept.append(sentence)
    if not kept:
        raise _LeftOutError(SENTENCE_TOO_LONG)
    return kept


def _document_text(sentences: Sequence[_Sentence], field: int) -> tuple[str, tuple[Word, ...], list[int]]:
    """The text of the sentences, their words in it, and for each word its place among the row's tokens."""
    text: list[str] = []
    words: list[Word] = []
    places: list[int] = []
    length, docid = 0, None
    for sentence in sentences:
        gap = "" if docid is None else " " if docid == sentence.docid else "\n\n"
        written, spans = detokenise(sentence.tokens)
        length, docid = length + len(gap), sentence.docid
        for place, (start, end) in enumerate(spans, start=sentence.first):
            if not written[start:end].isspace():
                words.append(Word(field, length + start, length + end))
                places.append(place)
        text += [gap, written]
        length += len(written)
    return "".join(text), tuple(words), places
