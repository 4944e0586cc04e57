"""The target of attribution: of which label, held against which other, and on which scale.

With s_y the score of label y (summed log-probability of its verbaliser's tokens), the target on the scale ``log_odds``
is s_y - log sum of exp(s_l) over all other labels l: the logit of p(y | x) among the labels, that is, of the decision
between them. On the other scales it is f(s_y), where f(s_y) is one of

* ``log_probability``: s_y itself;
* ``probability``: exp(s_y), the probability over the vocabulary of the whole verbaliser (for one token what inseq
  attributes by default), not that among the labels;
* ``logit``: the sum of the logits of the verbaliser's tokens, before normalisation.

Where y is contrasted with one other label b, it is f(s_y) - f(s_b) (Yin & Neubig 2022, EMNLP); the log-odds against b
alone are s_y - s_b, as on the scale of log-probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rationale_eval.models.encoding import Prompt

# Which label is explained. `auto`: as `foil` in a contrastive corpus, else as `predicted`.
AUTO, PREDICTED, GOLD, RUNNER_UP, FOIL = "auto", "predicted", "gold", "runner_up", "foil"
LOG_ODDS, LOG_PROBABILITY, PROBABILITY, LOGIT = "log_odds", "log_probability", "probability", "logit"


@dataclass(frozen=True)
class Question:
    """A prompt and what of the model's answer is explained: the predicted label, unless something else is given.

    ``contrast``: the indices of the label (the gold one) and its foil in a contrastive corpus, against one of which
    the predicted label is held. ``gold``: the index of the label that is explained instead of the predicted one.
    ``runner_up``: whether the predicted label is held against the second best. At most one of the three is given.
    """

    prompt: Prompt
    contrast: tuple[int, int] | None = None
    gold: int | None = None
    runner_up: bool = False

    def against(self, predicted: int) -> int | None:
        """The label that the predicted one is contrasted with: the foil, or the label where the foil is predicted."""
        if self.contrast is None:
            return None
        label, foil = self.contrast
        return label if predicted == foil else foil

    def explained(self, scores: Sequence[float]) -> tuple[int, int | None]:
        """The label that is explained and the one it is held against, given the scores of all labels.

        Of equal scores the earlier label is predicted.
        """
        order = sorted(range(len(scores)), key=lambda label: -scores[label])
        if self.gold is not None:
            return self.gold, None
        return order[0], order[1] if self.runner_up else self.against(order[0])


Pairs = Sequence[tuple[int, int | None]]


def explained_pairs(questions: Sequence[Question], scores: Tensor) -> list[tuple[int, int | None]]:
    """``Question.explained`` of each row of ``scores`` (prompts, labels)."""
    return [question.explained(row) for question, row in zip(questions, scores.tolist(), strict=True)]


def target_values(found: Tensor, pairs: Pairs, of: str) -> Tensor:
    """The targets (prompts,), of the type of ``found``, whose first entry are the label scores (prompts, labels).

    The second are the sums of logits, which the scale ``logit`` alone reads. There are two labels or more.
    """
    values = found[1] if of == LOGIT else found[0].exp() if of == PROBABILITY else found[0]
    return torch.stack([_target(row, label, other, of) for row, (label, other) in zip(values, pairs, strict=True)])


def _target(values: Tensor, label: int, other: int | None, of: str) -> Tensor:
    if other is not None:
        return values[label] - values[other]
    if of == LOG_ODDS:
        # Of differences, which are small where all scores are low: sums of these lose digits.
        return -(torch.cat([values[:label], values[label + 1 :]]) - values[label]).logsumexp(0)
    return values[label]
