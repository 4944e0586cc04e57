"""Six small corpora in shapes that people bring, and the configuration that a newcomer writes for them from the docs.

The texts are made up. ``MADE`` says which words of which text are marked; each file says it in its own way.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

# Corpus, then text (of two fields with " / " between them), label and the marked words.
Row = tuple[str, str, tuple[str, ...]]


def _rows(patterns: list[tuple[str, str, tuple[str, ...]]]) -> list[Row]:
    """Every pattern with numbered things in it; {n} is the number in the text and in marked words."""
    names = ("harbour", "station", "garden", "market")
    return [
        (text.format(n=name), label, tuple(word.format(n=name) for word in words))
        for name in names
        for text, label, words in patterns
    ]


MADE: dict[str, list[Row]] = {
    # Posts of people who were asked for what is hateful; in normal ones there is nothing to mark.
    "hate": _rows(
        [
            ("all of them at the {n} are vermin , drive them out", "hate", ("vermin", "drive", "out")),
            ("nice weather at the {n} today , see you", "normal", ()),
        ]
    ),
    # Comments with toxic spans; civil ones have none. Emoji before them shift offsets of UTF-16.
    "spans": _rows(
        [
            ("\N{PILE OF POO} what an idiot wrote this about the {n}!", "toxic", ("idiot",)),
            ("\N{SMILING FACE WITH SUNGLASSES} I went to the {n} myself.", "civil", ()),
        ]
    ),
    "pairs": _rows(
        [
            ("A man walks to the {n}. / A man is moving.", "yes", ("moving.",)),
            ("A man walks to the {n}. / A man sleeps there.", "no", ("sleeps",)),
            ("A man walks to the {n}. / His sister waits.", "maybe", ("sister", "waits.")),
        ]
    ),
    "reviews": _rows(
        [
            ("The film about the {n} was a delight from start to end", "good", ("delight",)),
            ("The film about the {n} was tedious and far too long", "bad", ("tedious", "too", "long")),
        ]
    ),
    # No spaces between words: the file gives them.
    "chinese": _rows([("{n}的电影非常精彩", "good", ("精彩",)), ("{n}的电影十分无聊", "bad", ("无聊",))]),
    # Each text by three annotators, who differ.
    "moods": _rows(
        [
            ("“So happy”, she wrote from the {n}", "joy", ("“So", "happy”,")),
            ("He cried all night by the {n}", "grief", ("cried",)),
            ("They shouted at us in the {n}", "anger", ("shouted",)),
        ]
    ),
}
PIECES = {"good": ["的", "电影", "非常", "精彩"], "bad": ["的", "电影", "十分", "无聊"]}


def words_of(corpus: str, text: str, label: str) -> list[str]:
    """The words of a text of one field."""
    return [text.split("的")[0], *PIECES[label]] if corpus == "chinese" else text.split()


def _mask(corpus: str, row: Row) -> list[int]:
    text, label, marked = row
    return [int(word.strip("!") in marked or word in marked) for word in words_of(corpus, text, label)]


def _utf16(text: str, place: int) -> int:
    return len(text[:place].encode("utf-16-le")) // 2


def _record(corpus: str, row: Row) -> dict[str, Any]:
    """A row as the file of its corpus has it."""
    text, label, marked = row
    mask = _mask(corpus, row)
    if corpus == "hate":
        # Of three annotators one marks nothing; of normal posts nobody marks anything.
        return {"post": text, "class": label, "raters": [mask, mask, []] if any(mask) else [[], [], []]}
    if corpus == "spans":
        places = [(text.index(word), text.index(word) + len(word)) for word in marked]
        spans = [[_utf16(text, start), _utf16(text, end)] for start, end in places]
        return {"comment": text, "label": label, "offsets": json.dumps(spans), "said": json.dumps(list(marked))}
    if corpus == "pairs":
        premise, hypothesis = text.split(" / ")
        why = {"hypothesis": [number for number, word in enumerate(hypothesis.split()) if word in marked]}
        return {"sentence1": premise, "sentence2": hypothesis, "gold": label, "why": why}
    if corpus == "reviews":
        return {"body": text, "stars": {"good": 5, "bad": 1}[label], "evidence": mask}
    if corpus == "chinese":
        return {"句子": text, "标签": label, "词": words_of(corpus, text, label), "标注": mask}
    told = " ".join(f"*{word}*" if mark else word for word, mark in zip(text.split(), mask, strict=True))
    wide = told if any(mask) else text
    return {"tweet": text, "mood": label, "marked": json.dumps([told, wide, text], ensure_ascii=False)}


def make(folder: Path) -> None:
    """Write the files of all corpora; the first half of each label's rows is for training, reviews are in one file."""
    for corpus, rows in MADE.items():
        half = len(rows) // 2
        records = [_record(corpus, row) for row in rows]
        parts = {"all": records} if corpus == "reviews" else {"train": records[:half], "test": records[half:]}
        (folder / corpus).mkdir(parents=True)
        for name, part in parts.items():
            path = folder / corpus / name
            if corpus == "reviews":
                pq.write_table(pa.Table.from_pylist(part), path.with_suffix(".parquet"))
            elif corpus in ("spans", "moods"):
                _write_cells(path, part, "\t" if corpus == "moods" else ",")
            else:
                lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in part)
                path.with_suffix(".jsonl").write_text(lines, encoding="utf-8")


def _write_cells(path: Path, part: list[dict[str, Any]], delimiter: str) -> None:
    if delimiter == "\t":  # a TSV has no quoting
        lines = ["\t".join(part[0]), *("\t".join(record.values()) for record in part)]
        path.with_suffix(".tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return
    with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(part[0]))
        writer.writeheader()
        writer.writerows(part)


def _entry(corpus: str, ending: str, fields: dict[str, str], label: str, rationale: dict[str, Any], **more: Any) -> Any:
    files = {side: [f"{side}.{ending}"] for side in ("train", "test")}
    entry = {"format": "table", "source": {"path": f"mine/{corpus}"}, "fields": fields, "label": label}
    entry |= {"rationale": rationale, "task": corpus, "train_rows": None, "test_rows": None}
    return entry | files | more


def corpora() -> dict[str, Any]:
    """The entries of the corpora."""
    whole = {"train": ["all.parquet"], "test": ["all.parquet"], "test_share": 0.5}
    stars, marks = {"5": "good", "1": "bad"}, {"kind": "mask", "column": "evidence"}
    return {
        "hate": _entry("hate", "jsonl", {"text": "post"}, "class", {"kind": "mask"}, annotators="raters"),
        "spans": _entry(
            "spans",
            "csv",
            {"text": "comment"},
            "label",
            {"kind": "char_spans", "column": "offsets", "offsets": "utf16", "span_texts": "said"},
        ),
        "pairs": _entry(
            "pairs",
            "jsonl",
            {"premise": "sentence1", "hypothesis": "sentence2"},
            "gold",
            {"kind": "word_indices", "column": "why"},
        ),
        "reviews": _entry("reviews", "parquet", {"text": "body"}, "stars", marks, labels=stars, **whole),
        "chinese": _entry(
            "chinese", "jsonl", {"text": "句子"}, "标签", {"kind": "mask", "column": "标注", "words": "词"}
        ),
        "moods": _entry("moods", "tsv", {"text": "tweet"}, "mood", {"kind": "marked_text"}, annotators="marked"),
    }


def tasks() -> dict[str, Any]:
    """The entries of the tasks, with the prompt files of the project."""
    words = {
        "hate": {"hate": "hateful", "normal": "harmless"},
        "spans": {"toxic": "toxic", "civil": "civil"},
        "reviews": {"bad": "bad", "good": "good"},
        "chinese": {"bad": "bad", "good": "good"},
        "moods": {"joy": "joy", "grief": "grief", "anger": "anger"},
        "pairs": {"yes": "yes", "maybe": "maybe", "no": "no"},
    }
    generic, nli = "workflow/prompts/generic.yaml", "workflow/prompts/nli.yaml"
    return {
        name: {"prompts": nli if name == "pairs" else generic, "verbalisers": verbalisers, "shots": 2}
        for name, verbalisers in words.items()
    }


def study(model: Path) -> dict[str, Any]:
    """The whole configuration, over config.yaml: a base model without chat template, attribution and prompting."""
    return {
        "results_dir": "results-mine",
        "corpora": corpora(),
        "tasks": tasks(),
        "models": {"mine": {"source": {"path": str(model)}, "dtype": "float32"}},
        "study": {
            "title": "Six corpora of my own",
            "corpora": list(MADE),
            "models": ["mine"],
            "checkpoints": ["base"],
            "methods": ["saliency_l2", "attention_rollout", "prompt_few_shot", "random", "human"],
            "budgets": ["top_var"],
        },
    }
