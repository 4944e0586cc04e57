"""The names of what the table of sensitivity holds: for the stage that makes it and the page that shows it."""

from __future__ import annotations

# The operator of all other tables; no configured name has parentheses.
MAIN = "(main)"
# The kinds of conclusions: a method's value, the order of all methods, prompting against attribution.
LEVEL, RANKING, CONTRAST = "level", "ranking", "contrast"
HIGHER, LOWER, OPEN, COLLAPSED = "prompting higher", "attribution higher", "not told apart", "inconclusive (collapsed)"
UNUSABLE = "inconclusive (too few usable replies)"
FEW = "inconclusive (too few informative texts)"
