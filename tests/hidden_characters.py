"""Characters that cannot be seen, and texts in which they make a difference that can."""

from __future__ import annotations

import unicodedata

ZWNJ, ZWJ, VS16 = "\u200c", "\u200d", "\ufe0f"
TECHNOLOGIST, RAINBOW_FLAG, HEART = (
    f"\U0001f469\U0001f3fd{ZWJ}\U0001f4bb",
    f"\U0001f3f3{VS16}{ZWJ}\U0001f308",
    f"❤{VS16}",
)
PERSIAN, HINDI = f"می{ZWNJ}خواهم", f"क्{ZWJ}ष"
# Each text with how it is shown.
KEPT = [
    *((text, text) for text in (TECHNOLOGIST, RAINBOW_FLAG, HEART, f"1{VS16}\u20e3", PERSIAN, HINDI, "a\tb\nc")),
    (f"good{ZWNJ}film{ZWJ}", "good[U+200C]film[U+200D]"),
    (f"می{ZWNJ}{ZWNJ}خواهم", "می[U+200C][U+200C]خواهم"),
    (f"{HEART}{VS16}\U000e0101", f"{HEART}[U+FE0F][U+E0101]"),
    (f"a{VS16} 1{VS16}", "a[U+FE0F] 1[U+FE0F]"),
    (f"{HEART}{ZWJ}.", f"{HEART}[U+200D]."),
]
FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180f\u2065\u2800\u3164\ufe00\uffa0\ufff0\U0001d159\U000e01ef"


def every() -> list[str]:
    """All controls, format characters and separators of lines and paragraphs but tabs and line ends, and fillers."""
    kinds = ("Cc", "Cf", "Zl", "Zp")
    return [*FILLERS, *(c for c in map(chr, range(0x110000)) if unicodedata.category(c) in kinds and c not in "\t\n")]
