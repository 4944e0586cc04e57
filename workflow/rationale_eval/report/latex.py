"""LaTeX for a paper: foreign text escaped, tables by pandas with booktabs, floats, and what a file says at its head.

The files compile with pdfLaTeX, XeLaTeX and LuaLaTeX. Characters that pdfLaTeX has no letter for, and those that the
font of the others lacks, are printed as their code point, as in [U+1F600]: nothing vanishes, and nothing stops.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import groupby
from pathlib import Path

import pandas as pd

from rationale_eval.report.wording import visible
from rationale_eval.tables import write_text

_SPECIAL = {
    **{character: f"\\{character}" for character in "{}$&#%_"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\char34{}",  # \textquotedbl needs the encoding T1
    # After the end of a table's row these would be read as arguments of it.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "\N{NO-BREAK SPACE}": "~",
    "\N{MINUS SIGN}": "$-$",
    "\N{DAGGER}": r"\textdagger{}",
}
# ASCII without the above, and what pdfLaTeX's font encodings T1 and TS1 have (LaTeX's t1enc.dfu and ts1enc.dfu).
_PLAIN = (
    r" A-Za-z0-9!'()+,\-./:;=?@"
    "\u00a1-\u00ac\u00ae-\u0125\u0128-\u0137\u0139-\u013e\u0141-\u0148\u014a-\u0165\u0168-\u017e\u0218-\u021b"
    "\u2013\u2014\u2018-\u201a\u201c-\u201e\u2021\u2022\u2026\u2030\u2039\u203a\u20ac\u2122"
)
# The first of a pair that fonts join into another character, as two hyphens into a dash; or what is not plain.
_CHANGED = re.compile(rf"([-',])(?=\1)|[^{_PLAIN}]")

_CHARACTER = r"""\ifdefined\rationalechar\else
  \ifdefined\Umathchar % XeLaTeX, LuaLaTeX
    \DeclareRobustCommand{\rationalechar}[2]{\iffontchar\font\string"#2 #1\else[U+#2]\fi}
  \else
    \DeclareRobustCommand{\rationalechar}[2]{[U+#2]}
  \fi
\fi
"""
_INTERVAL = r"\providecommand{\rationaleinterval}[1]{{\scriptsize[#1]}}" + "\n"


def escape(text: str) -> str:
    """``text`` for LaTeX: it prints as it is, straight quotes as the font has them, white space as one space.

    Controls are spelled out; the braces of the result balance.
    """

    def changed(match: re.Match[str]) -> str:
        character = match[0]
        if match[1]:
            return character + r"\kern0pt{}"  # braces alone do not part them in LuaTeX
        return _SPECIAL.get(character) or f"\\rationalechar{{{character}}}{{{ord(character):04X}}}"

    return _CHANGED.sub(changed, re.sub(r"[ \t\n]+", " ", visible(text)))


def estimate(text: str) -> str:
    """An estimate of ``wording`` for LaTeX; its interval becomes the argument of a macro that a paper can redefine."""
    value, bracket, interval = text.partition(" [")
    return escape(value) + (f" \\rationaleinterval{{{escape(interval.removesuffix(']'))}}}" if bracket else "")


def comment(text: str) -> str:
    """``text`` as a comment of one line."""
    return f"% {' '.join(visible(text).split())}\n"


def head(name: str, about: Sequence[str], packages: Sequence[str], macros: str = _INTERVAL) -> str:
    """The comments and macros that a file called ``name`` begins with; ``packages`` are those it needs."""
    needs = " ".join(f"\\usepackage{{{package}}}" for package in packages)
    lines = (
        f"{name}: made by rationale-eval, to be read by \\input. UTF-8; for pdfLaTeX, XeLaTeX and LuaLaTeX.",
        f"Needs {needs}, with pdfLaTeX \\usepackage[T1]{{fontenc}} too.",
        "The macros below can be defined otherwise before this file is read.",
        *about,
    )
    return "".join(map(comment, lines)) + _CHARACTER + macros


def tabular(
    columns: Sequence[tuple[str, ...]],
    rows: Sequence[Sequence[str]],
    formats: str,
    bold: Collection[tuple[int, int]] = (),
) -> str:
    """A booktabs tabular of ``rows`` of LaTeX under ``columns``: heads with equally many levels, no two equal.

    ``formats`` are LaTeX's column types, ``bold`` the cells (row, column) to stress. Equal parts of heads that stand
    beside each other on an upper level become one, with a rule below.
    """
    heads = pd.MultiIndex.from_tuples(columns) if len(columns[0]) > 1 else [name for (name,) in columns]
    frame = pd.DataFrame(list(rows), columns=heads, dtype=object)
    styles = pd.DataFrame("", index=frame.index, columns=frame.columns)
    for row, column in bold:
        styles.iloc[row, column] = "textbf:--rwrap;"
    styler = frame.style.hide(axis="index").apply(lambda _: styles, axis=None)
    text: str = styler.to_latex(hrules=True, column_format=f"@{{}}{formats}@{{}}", multicol_align="c")
    lines = text.splitlines()
    for level in range(len(columns[0]) - 1, 0, -1):  # pandas has no rules between the levels of heads
        lines.insert(1 + level + 1, _rules([head[:level] for head in columns]))
    return "\n".join(lines) + "\n"


def _rules(heads: Sequence[tuple[str, ...]]) -> str:
    """Rules below the heads of an upper level, none below an empty one."""
    found, first = "", 1
    for head_, group in groupby(heads):
        last = first + len(list(group)) - 1
        if head_[-1]:
            found += f"\\cmidrule(lr){{{first}-{last}}}"
        first = last + 1
    return found


def floating(label: str, caption: str, inside: str) -> str:
    """A table around ``inside``, which is LaTeX as is ``caption``; what is no letter in ``label`` becomes a hyphen."""
    above = f"\\centering\\footnotesize\\setlength{{\\tabcolsep}}{{4pt}}\n{_captioned(label, caption)}"
    return f"\n\\begin{{table}}[tbp]\n{above}{inside}\\end{{table}}\n"


def figure(label: str, caption: str, inside: str) -> str:
    """A figure around ``inside``, as above."""
    return f"\n\\begin{{figure}}[tbp]\n\\footnotesize\n{inside}{_captioned(label, caption)}\\end{{figure}}\n"


def _captioned(label: str, caption: str) -> str:
    name = re.sub("[^A-Za-z0-9:]+", "-", label)
    return f"\\caption{{{caption}}}\n\\label{{{name}}}\n"


def write_floats(path: Path, opening: str, floats: Sequence[str]) -> None:
    """Write one file; where there is no float it says so."""
    write_text(path, opening + ("".join(floats) or comment("The study has no rows of this table.")))
