"""Which labels a model gives, and which it should have given."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from rationale_eval.report.aggregate import Row
from rationale_eval.report.layout import CELL

# `n_…` count, `share_…` are fractions of the `n` instances with a prediction, gold labels of the same instances;
# `probability` is the mean probability of the label over them, null where labels were read from an API's answers.
LABEL_COLUMNS = (
    *(*CELL, "label", "n", "n_gold", "share_gold"),
    *("n_predicted", "share_predicted", "probability", "collapsed"),
)


def label_rows(predictions: pd.DataFrame) -> Iterator[Row]:
    """One row for each label of a cell's ``predictions``, in their order."""
    known = predictions[predictions["predicted"].notna()]
    n = len(known)
    labels = list(dict.fromkeys(label for row in predictions["labels"] for label in row))
    for place, label in enumerate(labels):
        gold, predicted = (int((known[column] == label).sum()) for column in ("gold", "predicted"))
        given = [row[place] for row in known["probabilities"].dropna()]
        yield {
            "label": label,
            "n": n,
            "n_gold": gold,
            "share_gold": gold / n if n else None,
            "n_predicted": predicted,
            "share_predicted": predicted / n if n else None,
            "probability": float(sum(given) / len(given)) if given else None,
        }
