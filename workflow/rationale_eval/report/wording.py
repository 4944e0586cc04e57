"""Numbers and foreign text as the report prints them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import regex
from markupsafe import Markup

MISSING = "\N{EN DASH}"
# With fewer instances than this a tenth of a percent is less than one instance can change.
FINE_PERCENTAGES = 200

# Scripts in which a joiner or non-joiner chooses the form of the letters beside it.
_JOINED = "".join(
    rf"\p{{Script_Extensions={script}}}"
    for script in (
        *("Arabic", "Syriac", "Mandaic", "Nko", "Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil"),
        *("Telugu", "Kannada", "Malayalam", "Sinhala", "Tibetan", "Myanmar", "Balinese", "Javanese"),
    )
)
# Characters that are drawn as nothing, or that show others in another order than they are stored: a model reads them,
# and a reader should see what it reads. That is all of Unicode's category of controls, formats, private and unassigned
# ones (C), separators of lines and paragraphs, what it calls ignorable by default (fillers, selectors), and four signs
# that are blank. Tabs and line ends are no secret. Three kinds stay, because they change how their visible neighbours
# look: one joiner or non-joiner between two letters of a script that joins (Persian and Hindi are misspelt without),
# one joiner between two pictographs, and one selector that makes a pictograph coloured or plain. By themselves, in
# rows or elsewhere these hide something as well; flags of regions are written with hidden letters, and are spelled out.
# Written so that JavaScript reads it alike: the explorer has the same pattern.
HIDDEN = (
    rf"(?!(?<=[{_JOINED}])(?<=[\p{{L}}\p{{M}}])[\u200c\u200d](?=[{_JOINED}])(?=[\p{{L}}\p{{M}}]))"
    r"(?!(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f])\u200d(?=\p{Extended_Pictographic}))"
    r"(?!(?<=\p{Extended_Pictographic})[\ufe0e\ufe0f]|(?<=[0-9#*])\ufe0f(?=\u20e3))"
    "(?![\\t\\n])[\\p{C}\\p{Zl}\\p{Zp}\\p{Default_Ignorable_Code_Point}\\u2800\U0001d159\U00013441\U00013442]"
)
_HIDDEN = regex.compile(HIDDEN)


def visible(value: Any) -> Any:
    """``value`` with characters that cannot be seen spelled out, as in [U+202E]; markup stays as it is."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _HIDDEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", value)


def number(value: float | None) -> str:
    """A number with two decimals."""
    if value is None or pd.isna(value):
        return MISSING
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "\N{MINUS SIGN}")


def two_digits(value: float | None) -> str:
    """A number that may be small, with two significant digits."""
    if value is None or pd.isna(value):
        return MISSING
    return f"{value:.2g}".replace("-", "\N{MINUS SIGN}")


def percent(value: float | None, n: int, sign: str = "\N{NO-BREAK SPACE}%") -> str:
    """A share as a percentage: whole numbers, one decimal if it is over more than ``FINE_PERCENTAGES`` instances."""
    if value is None or pd.isna(value):
        return MISSING
    return f"{100 * value:.{int(n > FINE_PERCENTAGES)}f}{sign}"


def n_text(count: int | str) -> str:
    """A number of instances, or a ``count_text``, that no line break tears from its n, for example ``n = 60``."""
    return f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{count}"


def count_text(row: Mapping[str, Any]) -> str:
    """n, and how many of these texts are informative where not all are, for example ``48 (23 informative)``."""
    some = pd.notna(row["n_informative"]) and row["n_informative"] < row["n"]
    # Rows without the number make the column one of floats.
    return f"{row['n']} ({int(row['n_informative'])} informative)" if some else str(row["n"])


def row_title(row: Mapping[str, Any]) -> str:
    """The cell of a row; of a pooled row what it is."""
    return f"{row['corpus']}, {row['model']}, {row['checkpoint']}" if "corpus" in row else "pooled"


def number_with_interval(value: float, low: float, high: float) -> str:
    """For example ``0.31 [0.22, 0.40]``."""
    if value is None or pd.isna(value):
        return MISSING
    return number(value) if pd.isna(low) else f"{number(value)} [{number(low)}, {number(high)}]"


def share_of(label: str | None, share: float, n: int) -> str:
    """A label with the share of the texts that have it, for example ``positive, 62 %``."""
    return MISSING if label is None or pd.isna(share) else f"{label}, {percent(share, n)}"


def percent_with_interval(value: float, low: float | None, high: float | None, n: int) -> str:
    """For example ``31 % [22, 40]``."""
    if pd.isna(value):
        return MISSING
    if pd.isna(low):
        return percent(value, n)
    return f"{percent(value, n)} [{percent(low, n, sign='')}, {percent(high, n, sign='')}]"


def points_with_interval(value: float, low: float | None, high: float | None, n: int) -> str:
    """A difference of shares, for example ``+16 points [4, 28]``."""
    if value is None or pd.isna(value):
        return MISSING
    # One pair has a difference, but no interval.
    known = (value, value, value) if low is None or high is None or pd.isna(low) else (value, low, high)
    texts = [f"{100 * part:.{int(n > FINE_PERCENTAGES)}f}" for part in known]
    shown = ["0" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}") for text in texts]
    sign = "+" if value > 0 and shown[0] != "0" else ""
    bounds = "" if pd.isna(low) else f" [{shown[1]}, {shown[2]}]"
    return f"{sign}{shown[0]}\N{NO-BREAK SPACE}points{bounds}"


def points_text(value: float | None, n: int) -> str:
    """A difference of shares without an interval, for example ``+16 points``."""
    return MISSING if value is None else points_with_interval(value, None, None, n)


def p_text(p: float | None) -> str:
    """A p value with three decimals, or ``< 0.001``."""
    return MISSING if p is None or pd.isna(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def terms(card: Mapping[str, Any]) -> str:
    """Licence and privacy of a corpus's texts, for wherever they are shown."""
    licence = card.get("licence") or "not named in the corpus card"
    return f"licence: {licence}" + (f"; privacy: {card['privacy']}" if card.get("privacy") else "")


def level_text(level: float) -> str:
    """The level of an interval, for example ``95 %``."""
    return f"{100 * level:g}\N{NO-BREAK SPACE}%"


def settings(entry: Mapping[str, Any]) -> str:
    """The settings of a method or budget without its kind, for example ``aggregation max, statistic last``."""
    kept = {key: value for key, value in sorted(entry.items()) if key != "kind" and value is not None}
    return ", ".join(
        f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}" for key, value in kept.items()
    )


def budget_text(budget: Mapping[str, Any]) -> str:
    """A budget in words."""
    if budget["kind"] == "top_var":
        return "as many words as are marked in the text"
    if budget["kind"] == "top_ratio":
        return f"{100 * budget['ratio']:g}\N{NO-BREAK SPACE}% of the words of the text, rounded up"
    if budget["kind"] == "matched":
        return f"as many words as the reply of {budget['to']} names in the text"
    return f"{budget['kind'].replace('_', ' ')}, {settings(budget)}"


def operator_text(entry: Mapping[str, Any]) -> str:
    """An operator in words, for example ``replaced by [MASK], announced``."""
    text = "deleted" if entry["operator"] == "delete" else f"replaced by {entry['mask']}"
    return f"{text}, announced" if entry["announce"] else text
