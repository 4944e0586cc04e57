"""LaTeX for a paper: escaping, bold by interval, numbers as in the tables, and real engines where there are any."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pandas as pd
import pytest
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.errors import UserError
from rationale_eval.report import latex_tables
from rationale_eval.report.bold import Measure, best, competing
from rationale_eval.report.latex import comment, escape, tabular
from rationale_eval.report.latex import estimate as typeset
from rationale_eval.report.latex_examples import MOST_CHARACTERS, fill, sentence
from rationale_eval.report.latex_grids import NUMBER, grids
from rationale_eval.report.latex_short import SHORT
from report_trees import BIDI, HOSTILE, IMAGE, METHODS, SCRIPT, estimate, run_tables, write_cell

# What breaks out of a cell, a row, an argument, a comment or the document, and what LaTeX's encodings lack.
BREAKING = r"\input{/etc/passwd} }{ 100% & a_b^c #1 $x$ ~ \\ [2pt] *" + '\n\\end{document} `a\' -- "q" <>| \t'
FOREIGN = "naïve Ŵ “x” … € 😀 日本 Ω ế \u0301 \x00 \u2028 \ud7ff \U0010ffff"
F1 = Measure("f1", "F1", NUMBER, "n")
SPEC = {"methods": METHODS, "budgets": {"top_var": {"kind": "top_var"}}, "main_budget": "top_var", "level": 0.95}
SPEC["marked_by"] = dict.fromkeys("abcde", "people")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report on a corpus and labels that try to break LaTeX, with an epoch too."""
    results = tmp_path_factory.mktemp("results")
    text = f"{BREAKING} {FOREIGN} {'x' * 10_000} {SCRIPT} {BIDI}"
    for checkpoint in ("base", "epoch-01-seed-0"):
        write_cell(results, "one_%", f"{HOSTILE} {BREAKING}", text, {}, checkpoint)
    return run_tables(results, [("one_%", "base"), ("one_%", "epoch-01-seed-0")])


def files(report):
    return [*sorted((report / "tables").glob("*.tex")), report / "examples.tex"]


def rows_of(text):
    """The rows of all tabulars, each as its cells."""
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    return [re.split(r"(?<!\\)&", line.removesuffix(r"\\")) for line in lines]


def balanced(text):
    """Whether the braces that are not printed characters balance."""
    open_ = 0
    for brace in re.findall(r"\\.|([{}])", text, flags=re.DOTALL):
        open_ += {"{": 1, "}": -1}.get(brace, 0)
        if open_ < 0:
            return False
    return open_ == 0


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a_b & 5% #1 $x", r"a\_b \& 5\% \#1 \$x"),
        ("{\\x}", r"\{\textbackslash{}x\}"),
        ("~^<|>`", r"\textasciitilde{}\textasciicircum{}\textless{}\textbar{}\textgreater{}\textasciigrave{}"),
        ("[2pt]*", "{[}2pt{]}{*}"),
        ("a--b --- ''c,,", r"a-\kern0pt{}-b -\kern0pt{}-\kern0pt{}- '\kern0pt{}'c,\kern0pt{},"),
        ("a \n\t b", "a b"),
        ("é “ß” …", "é “ß” …"),
        ("\N{MINUS SIGN}0.5\N{NO-BREAK SPACE}%", r"$-$0.5~\%"),
        ("😀Ω", r"\rationalechar{😀}{1F600}\rationalechar{Ω}{03A9}"),
        ("\u202e\x00", "{[}U+202E{]}{[}U+0000{]}"),
    ],
)
def test_text_is_escaped(text, printed):
    assert escape(text) == printed


def test_a_comment_is_one_line():
    assert comment("a\n\\input{x}\r\u2028b") == "% a \\input{x}[U+000D][U+2028]b\n"


def test_an_interval_is_an_argument():
    assert typeset("\N{MINUS SIGN}0.31 [\N{MINUS SIGN}0.4, 0.2]") == r"$-$0.31 \rationaleinterval{$-$0.4, 0.2}"


def test_the_best_is_bold_with_all_whose_interval_overlaps():
    rows = [
        estimate("a", 0.5, 0.4, 0.6),
        estimate("b", 0.45, 0.35, 0.55),
        estimate("c", 0.2, 0.1, 0.39),
        estimate("everything", 0.9, 0.8, 1.0, kind="all_words"),
        estimate("asked", 0.8, 0.7, 0.9, kind="prompt", budget="as_given"),
        estimate("rare", 0.8, 0.1, 1.0) | {"n": 29},
    ]
    assert best(competing(pd.DataFrame(rows), F1), F1) == {0, 1}
    lower = Measure("f1", "F1", NUMBER, "n", -1)
    assert best(competing(pd.DataFrame(rows), lower), lower) == {1, 2}
    assert best(competing(pd.DataFrame(rows[:1]), F1), F1) == set()
    collapsed = pd.DataFrame(rows).assign(collapsed=True)
    assert best(competing(collapsed, F1), F1) == set()


def test_heads_that_are_equal_become_one():
    text = tabular([("", "m"), ("x", "p"), ("x", "q")], [["a", "1", "2"]], "lrr", {(0, 1)})
    assert text.splitlines() == [
        r"\begin{tabular}{@{}lrr@{}}",
        r"\toprule",
        r" & \multicolumn{2}{c}{x} \\",
        r"\cmidrule(lr){2-3}",
        r"m & p & q \\",
        r"\midrule",
        r"a & \textbf{1} & 2 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_a_grid_has_the_numbers_of_its_table(report):
    table = pd.read_parquet(report / "tables" / "alignment.parquet")
    table = table[(table["method"] == "grad") & (table["budget"] == "top_var")]
    row = next(
        cells for cells in rows_of((report / "tables" / "alignment.tex").read_text()) if cells[0] == r"\quad grad "
    )
    for cell, shown in zip(table.to_dict("records"), row[1:], strict=True):
        numbers = [float(found) for found in re.findall(r"\d\.\d\d", shown)]
        assert numbers == pytest.approx([cell["f1"], cell["f1_low"], cell["f1_high"]], abs=0.005)


def test_many_cells_are_spread_over_floats_of_four():
    cells = [(corpus, model) for model in ("m", "k") for corpus in "abcde"]
    rows = [
        {"corpus": corpus, "model": model, "checkpoint": "base"} | estimate("grad", 0.3, 0.2, 0.4)
        for corpus, model in cells
    ]
    floats = grids("alignment", pd.DataFrame(rows), SPEC)
    # Two measures of two models, five columns each.
    assert [text.count("base") for text in floats] == [4, 1] * 4
    assert len({re.search(r"\\label\{(.*)\}", text)[1] for text in floats}) == 8


def test_calibration_names_the_best():
    row = {
        "corpus": "c",
        "model": "m",
        "checkpoint": "base",
        "kind": "gradients",
        "budget": "top_var",
        "n": 50,
        "accuracy": 1.0,
        "collapsed": False,
        "flag": None,
    }
    row |= dict.fromkeys(("auprc_chance", "cue_words_chance", "flip_rate", "comprehensiveness", "sufficiency"), 0.1)
    rows = [
        row | {"method": name} | {f"{column}{end}": value + more for column in CALIBRATED for end, more in ENDS.items()}
        for name, value in (("good", 0.8), ("bad", 0.2))
    ]
    # A reply that copies the text has all cues, at any size: it is no contestant.
    copied = {f"{name}{end}": 1.0 for name in CALIBRATED for end in ENDS}
    rows.append(row | {"method": "said", "kind": "prompt", "budget": "as_given"} | copied)
    (text,) = SHORT["calibration"](pd.DataFrame(rows), SPEC)
    lines = {cells[0].removeprefix(r"\quad ").strip(): cells for cells in rows_of(text)}
    assert [r"\textbf" in cell for cell in lines["good"][1:4]] == [True, True, True]
    assert not any(r"\textbf" in cell for name in ("bad", "said (as given)") for cell in lines[name])
    taus = {"corpus": "c", "model": "m", "checkpoint": "base", "n_methods": 5, "collapsed": False}
    taus |= dict.fromkeys(("tau_flip_rate", "tau_comprehensiveness", "tau_sufficiency"), -0.25)
    (text,) = SHORT["calibration_ranks"](pd.DataFrame([taus]), SPEC)
    assert rows_of(text)[-1] == ["c ", " base ", " 5 ", " $-$0.25 ", " $-$0.25 ", " $-$0.25 "]


CALIBRATED = ("first_word", "cue_words", "auprc")
ENDS = {"": 0.0, "_low": -0.1, "_high": 0.1}


def test_an_example_colours_frames_and_underlines():
    text = "so bad, so long"
    instance = Instance("1", "no", {"text": text}, whitespace_words([text]), (False, True, False, False))
    shown = sentence(instance, [0.0, 2.0, -1.0, 1.0], [False, True, False, False])
    assert shown == (
        r"so \rationaleselected{rationalefor!70}{\rationalehuman{bad,}} \rationalescore{rationaleagainst!35}{so} "
        r"\rationalescore{rationalefor!35}{long}"
    )
    assert sentence(instance, None, None) == r"so \rationalehuman{bad,} so long"
    assert fill(1.0, 0.0) == fill(None, 2.0) == "white"


def test_the_rest_of_a_long_example_is_counted():
    text = "word " * 400
    words = whitespace_words([text])
    shown = sentence(Instance("1", "no", {"text": text}, words, (False,) * len(words)), None, None)
    assert len(re.findall(r"\bword\b", shown)) == MOST_CHARACTERS // 5 + 1
    assert shown.endswith(f"{{[}}… {400 - MOST_CHARACTERS // 5 - 1} more words{{]}}")


def test_hostile_text_leaves_the_structure_whole(report):
    for path in files(report):
        text = path.read_text(encoding="utf-8")
        body = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("%"))
        assert balanced(body), path
        for environment in ("table", "figure", "tabular"):
            assert body.count(f"\\begin{{{environment}}}") == body.count(f"\\end{{{environment}}}")
        assert r"\input" not in body
        assert r"\end{document}" not in body
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00]", text)
    examples = (report / "examples.tex").read_text(encoding="utf-8")
    assert r"\textless{}script\textgreater{}alert(1)" in examples
    assert "{[}U+202E{]}gnol{[}U+2066{]}" in examples


def test_every_row_has_as_many_cells_as_its_table(report):
    for path in (report / "tables").glob("*.tex"):
        for found in re.findall(r"\\begin\{tabular\}\{@\{\}(.*?)@\{\}\}(.*?)\\end\{tabular\}", path.read_text(), re.S):
            columns = len(re.sub(r"\{[^}]*\}", "", found[0]))
            body = found[1].split(r"\midrule", 1)[1]
            assert {len(cells) for cells in rows_of(body)} == {columns}, path


def test_notes_of_a_corpus_stand_with_its_text(report):
    text = (report / "examples.tex").read_text(encoding="utf-8")
    note = escape(HOSTILE)
    assert text.count(f"licence: {note}; privacy: {note}.") == text.count(r"\begin{figure}") == 2
    head = text.split("\\begin{figure}")[0]
    assert "% one_%: licence: " in head
    assert f"; privacy: {SCRIPT} {IMAGE}" in head


def test_a_table_without_rows_says_so(report):
    text = (report / "tables" / "completeness.tex").read_text(encoding="utf-8")
    assert text.endswith("% The study has no rows of this table.\n")


def test_a_missing_table_is_named(tmp_path):
    spec = json.dumps(SPEC | {"tables": ["alignment"]})
    folder = str(tmp_path)
    with pytest.raises(UserError, match=r"alignment\.parquet: there is no such table"):
        latex_tables.main(["--spec", spec, "--tables", folder, "--claims", f"{folder}/c.json", "--output", folder])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("engine", ["pdflatex", "lualatex"])
def test_real_engines_typeset_hostile_text(engine, report, tmp_path):
    if not shutil.which(engine):
        pytest.skip(f"{engine} is not installed; with Debian: texlive-latex-recommended, texlive-luatex, lmodern")
    inputs = "\n".join(f"\\input{{{path}}}\\clearpage" for path in files(report))
    packages = r"\usepackage[T1]{fontenc}\usepackage{lmodern}" if engine == "pdflatex" else ""
    document = f"\\documentclass{{article}}{packages}\\usepackage{{booktabs,xcolor}}\\begin{{document}}\n{inputs}\n"
    (tmp_path / "paper.tex").write_text(document + "\\end{document}\n", encoding="utf-8")
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    for _ in range(2):  # captions come back from the .aux file
        made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
        assert made.returncode == 0, made.stdout[-2000:]
    assert "Missing character" not in (tmp_path / "paper.log").read_text(encoding="utf-8", errors="replace")
