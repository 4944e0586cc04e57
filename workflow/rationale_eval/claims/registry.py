"""The claims of Fayyaz et al. (2024, arXiv 2407.00219), each as a contrast fixed before any result is seen.

In our words, by version of the paper: v2 (October 2024), and v1 (June 2024) where it says otherwise or more. A family
is a list of recipes, not of names, since a study may name its methods as it likes; a contrast takes the mean of those
of them that the study has, never the best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rationale_eval.report.layout import BEYOND

# What a claim says of its contrast. Non-superiority: it does not rise, though it may fall. An existence claim: in at
# least one cell the contrast has the direction.
DIFFERENCE, NON_SUPERIORITY, EXISTENCE = "difference", "non_superiority", "existence"
# Over cells: a rank correlation. Over methods: whether leaving out misclassified instances changes their ranking.
ASSOCIATION, RANKING = "association", "ranking"
# Raw flips are compared between sets of equal sizes alone; else flips beyond those of equally many random words.
ALIGNMENT, FLIP = "f1_corrected", "flip"
UNITS = {
    ALIGNMENT: "F1 above chance",
    FLIP: "share of predictions that flip",
    BEYOND: "share of predictions that flip, minus that under equally many random words",
}
HIGHER, LOWER, NEITHER = 1, -1, 0
# The cells of a base model that a claim is about. That an accuracy is not shown to be good does not make it poor: its
# whole interval must lie below half the way from always giving the most frequent gold label to no error.
POOR_ACCURACY = "poor accuracy (by its whole interval nearer to always giving the most frequent label than to no error)"
BASE, TUNED = "base", "tuned"  # the model as it is; after the last epoch of fine-tuning in the study
# Sizes of the sets: scored methods cut to the size of each prompted method's reply in the same instance; or each family
# at its own, scored methods at the main budget and prompted ones as given.
MATCHED, OWN = "matched", "own"


@dataclass(frozen=True)
class Family:
    """Methods by what they are: an entry of the configuration belongs if it has all values of one of ``recipes``."""

    name: str
    recipes: tuple[Mapping[str, Any], ...]

    def members(self, methods: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """The names of those of ``methods`` that belong, in their order."""
        return [
            name
            for name, entry in methods.items()
            if any(all(entry.get(key) == value for key, value in recipe.items()) for recipe in self.recipes)
        ]


ATTENTION = {"kind": "attention", "statistic": "last"}
SALIENCY = {"kind": "gradients", "statistic": "grad_l2"}
INPUT_X_GRADIENT = {"kind": "gradients", "statistic": "gxi_dot"}
ATTRIBUTION = Family("attribution", (ATTENTION, SALIENCY, INPUT_X_GRADIENT))
PROMPTING = Family("prompting", ({"kind": "prompt", "strategy": "unbound"}, {"kind": "prompt", "strategy": "guided"}))
ONE = Family("input x gradient", (INPUT_X_GRADIENT,))
OTHERS = Family("attention and saliency", (ATTENTION, SALIENCY))


@dataclass(frozen=True)
class Term:
    """The mean of a family at a checkpoint, times ``weight``."""

    weight: int
    family: Family
    checkpoint: str = BASE


@dataclass(frozen=True)
class Claim:
    """One claim. ``terms`` add up to the contrast, instance by instance; ``direction`` is what the claim says of it."""

    name: str
    version: str
    text: str
    kind: str
    measure: str
    direction: int = NEITHER
    terms: tuple[Term, ...] = ()
    sizes: str = OWN
    # Of an association: the column of the cell that flip rates are correlated with.
    against: str | None = None
    # The cells that the claim is about, collapsed ones among them; None: all that have not collapsed.
    where: str | None = None

    @property
    def changes(self) -> bool:
        """Whether the contrast is of what fine-tuning changes: one family after it minus the same before."""
        return len({term.family.name for term in self.terms}) == 1 and [
            (term.weight, term.checkpoint) for term in self.terms
        ] == [(1, TUNED), (-1, BASE)]


def contrast_words(claim: Claim) -> str:
    """The contrast of a claim in words, for example ``prompting (base) - attribution (base), at matched sizes``."""
    if claim.kind == ASSOCIATION:
        name = claim.terms[0].family.name
        return f"rank correlation over cells of the flips of {name} beyond random words with {claim.against}"
    if claim.kind == RANKING:
        return (
            "rank correlation of the methods' flips beyond random words, over all and over correctly classified texts"
        )
    parts = [
        f"{'-' if term.weight < 0 else '+' if place else ''} {term.family.name} ({term.checkpoint})".strip()
        for place, term in enumerate(claim.terms)
    ]
    sizes = "at matched sizes" if claim.sizes == MATCHED else "each at its own size"
    where = f", in cells of {claim.where}" if claim.where else ""
    return f"{' '.join(parts)}, {sizes}{where}"


def claimed_words(claim: Claim, margins: Mapping[str, float]) -> str:
    """What the claim says of its contrast, for example ``above 0``; ``margins`` by measure."""
    side = "above 0" if claim.direction == HIGHER else "below 0"
    return {
        DIFFERENCE: side,
        EXISTENCE: f"{side} in at least one cell",
        NON_SUPERIORITY: f"below {margins.get(claim.measure, 0.0):g}: no rise, whether it falls or not",
        ASSOCIATION: side,
        RANKING: "the order of some pair of methods is reversed",
    }[claim.kind]


_GAP = (Term(1, PROMPTING), Term(-1, ATTRIBUTION))
_GAP_TUNED = (Term(1, PROMPTING, TUNED), Term(-1, ATTRIBUTION, TUNED))


def _change(family: Family) -> tuple[Term, Term]:
    return Term(1, family, TUNED), Term(-1, family, BASE)


_ONE_MORE = (*_change(ONE), Term(-1, OTHERS, TUNED), Term(1, OTHERS, BASE))

CLAIMS = (
    Claim(
        "alignment_not_always",
        "v2",
        "What a model names when asked is not always as well aligned as attribution.",
        EXISTENCE,
        ALIGNMENT,
        LOWER,
        _GAP,
        MATCHED,
    ),
    Claim(
        "alignment_not_always_tuned",
        "v2",
        "What a model names when asked is not always as well aligned as attribution, after fine-tuning too.",
        EXISTENCE,
        ALIGNMENT,
        LOWER,
        _GAP_TUNED,
        MATCHED,
    ),
    Claim(
        "alignment_poor_accuracy_attribution",
        "v1",
        "Where a base model classifies poorly, attribution is still reasonably aligned: better than random words.",
        DIFFERENCE,
        ALIGNMENT,
        HIGHER,
        (Term(1, ATTRIBUTION),),
        where=POOR_ACCURACY,
    ),
    Claim(
        "alignment_poor_accuracy_prompting",
        "v1",
        "Where a base model classifies poorly, what it names is still reasonably aligned: better than random words.",
        DIFFERENCE,
        ALIGNMENT,
        HIGHER,
        (Term(1, PROMPTING),),
        where=POOR_ACCURACY,
    ),
    Claim(
        "alignment_prompting_better",
        "v1",
        "Prompted rationales are better aligned than attribution.",
        DIFFERENCE,
        ALIGNMENT,
        HIGHER,
        _GAP,
        MATCHED,
    ),
    Claim(
        "tuning_prompting_alignment",
        "v2",
        "Fine-tuning does not enhance the alignment of prompted rationales.",
        NON_SUPERIORITY,
        ALIGNMENT,
        NEITHER,
        _change(PROMPTING),
    ),
    Claim(
        "tuning_attribution_alignment",
        "v2",
        "Fine-tuning raises the alignment of attribution.",
        DIFFERENCE,
        ALIGNMENT,
        HIGHER,
        _change(ATTRIBUTION),
    ),
    Claim(
        "tuning_input_x_gradient",
        "v2",
        "Fine-tuning raises the alignment of input x gradient more than that of the other methods.",
        DIFFERENCE,
        ALIGNMENT,
        HIGHER,
        _ONE_MORE,
    ),
    Claim(
        "faithfulness_prompting_lower",
        "v2",
        "Prompted rationales are less faithful than attribution.",
        DIFFERENCE,
        FLIP,
        LOWER,
        _GAP,
        MATCHED,
    ),
    Claim(
        "faithfulness_prompting_lower_tuned",
        "v2",
        "Prompted rationales are less faithful than attribution, after fine-tuning too.",
        DIFFERENCE,
        FLIP,
        LOWER,
        _GAP_TUNED,
        MATCHED,
    ),
    Claim(
        "tuning_prompting_faithfulness",
        "v1",
        "Fine-tuning makes prompted rationales more faithful.",
        DIFFERENCE,
        BEYOND,
        HIGHER,
        _change(PROMPTING),
    ),
    Claim(
        "tuning_attribution_faithfulness",
        "v1",
        "Fine-tuning makes attribution more faithful.",
        DIFFERENCE,
        BEYOND,
        HIGHER,
        _change(ATTRIBUTION),
    ),
    Claim(
        "flips_follow_accuracy",
        "v2",
        "Where a model is more often right, masking rationales flips more, beyond random words.",
        ASSOCIATION,
        BEYOND,
        HIGHER,
        (Term(1, ATTRIBUTION),),
        against="accuracy",
    ),
    Claim(
        "flips_fall_with_collapse",
        "v1",
        "The more one-sided a model's answers are, the less masking rationales flips, beyond random words.",
        ASSOCIATION,
        BEYOND,
        LOWER,
        (Term(1, ATTRIBUTION),),
        against="majority_predicted_share",
    ),
    Claim(
        "ranking_without_errors", "v2", "Leaving out misclassified instances changes how methods rank.", RANKING, BEYOND
    ),
)
