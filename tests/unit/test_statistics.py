"""Statistics: against hand-worked cases, other implementations, and the truth in simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planted import FEW, MEANS, coverage, hierarchical_coverage, stratified_coverage
from rationale_eval.statistics.comparison import compare, difference_p, equivalence_p, holm
from rationale_eval.statistics.intervals import DIFFERENCE, constant_interval, mean_interval, proportion_interval
from rationale_eval.statistics.labels import entropy, macro_f1, majority, margins
from rationale_eval.statistics.resampling import hierarchical_interval, mean_of_means, stratified_interval
from report_trees import INTERVAL
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

# Labels


def test_macro_f1_by_hand():
    # a: 2 hits of 3 gold and 2 predicted, 4/5; b: 1 hit of 1 gold and 2 predicted, 2/3.
    assert macro_f1(["a", "a", "a", "b"], ["a", "a", "b", "b"]) == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert macro_f1(["a", "b"], ["c", "c"]) == 0
    assert macro_f1([], []) is None


def test_macro_f1_counts_a_label_that_is_predicted_only():
    assert macro_f1(["a", "a"], ["a", "c"]) == pytest.approx((2 / 3 + 0) / 2)


def test_entropy_is_in_bits():
    assert entropy(["a"] * 5) == 0
    assert entropy(["a", "b"]) == 1
    assert entropy(["a", "a", "b", "c"]) == 1.5
    assert entropy([]) is None


def test_majority_of_equals_is_the_first_by_name():
    assert majority(["b", "a"]) == ("a", 0.5)
    assert majority([]) == (None, None)


def test_margins_are_the_gap_of_the_two_most_probable_labels():
    assert margins([[0.2, 0.7, 0.1], [0.5, 0.0, 0.5]]).tolist() == pytest.approx([0.5, 0.0])
    assert margins([]).tolist() == []


# Intervals


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_interval_of_a_constant_rate_is_clopper_and_pearsons(value):
    expected = stats.binomtest(int(40 * value), 40).proportion_ci(method="exact")
    assert mean_interval([value] * 40, INTERVAL) == pytest.approx((expected.low, expected.high))


def test_the_interval_of_a_constant_covers_what_few_others_could_make_of_it():
    # At most u = 1 - 0.025^(1/10) of the instances differ, and these lie between -1 and 1.
    most = 1 - 0.025 ** (1 / 10)
    assert constant_interval(0.2, 10, 0.95, DIFFERENCE) == pytest.approx((0.2 - most * 1.2, 0.2 + most * 0.8))
    assert mean_interval([0.3] * 7, INTERVAL, None) == (None, None)


def test_zeros_and_ones_have_wilsons_interval():
    assert mean_interval([1.0] * 30 + [0.0] * 70, INTERVAL) == proportion_interval(30, 100, 0.95)


def test_the_bootstrap_of_one_sample_is_scipys_bca():
    values = np.random.default_rng(1).beta(2, 4, 60)
    known = stats.bootstrap((values,), np.mean, n_resamples=2000, method="BCa", rng=np.random.default_rng(0))
    assert mean_interval(values.tolist(), INTERVAL) == pytest.approx(tuple(known.confidence_interval), abs=0.004)


def test_interval_of_nothing_is_none():
    assert mean_interval([], INTERVAL) == (None, None)
    assert proportion_interval(0, 0, 0.95) == (None, None)


def test_bootstrap_interval_is_seeded_and_independent_of_other_calls():
    values = np.random.default_rng(1).random(50).tolist()
    first = mean_interval(values, INTERVAL)
    mean_interval(values[:20], INTERVAL)
    assert mean_interval(values, INTERVAL) == first != mean_interval(values, INTERVAL | {"seed": 1})


def test_wilson_interval_by_hand():
    n, p, z = 40, 0.75, stats.norm.ppf(0.975)
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = ((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n))
    assert proportion_interval(30, 40, 0.95) == pytest.approx(expected)


# Strata


def test_strata_count_alike_and_are_resampled_apart():
    # Between the strata lies a gap that no resampling within them can show; pooled, the interval would be far wider.
    rng = np.random.default_rng(2)
    strata = [rng.normal(0.0, 0.1, 200), rng.normal(1.0, 0.1, 50)]
    low, high = stratified_interval(strata, INTERVAL)
    assert low < np.mean([one.mean() for one in strata]) < high
    error = math.sqrt(sum(one.var(ddof=1) / len(one) for one in strata)) / 2
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)


@pytest.mark.parametrize("sizes", [(48,), (60, 45), (1500, 3)])
def test_the_interval_is_that_of_scipy_from_the_same_seed(sizes):
    rng = np.random.default_rng(5)
    strata = [rng.random(size) for size in sizes]
    for _ in range(2):  # the second time from the draws that are kept
        seed = np.random.default_rng(INTERVAL["seed"])
        draws = INTERVAL["resamples"]
        batch = max(1, 2_000_000 // max(sizes))
        found = stats.bootstrap(strata, mean_of_means, n_resamples=draws, batch=batch, method="BCa", rng=seed)
        assert stratified_interval(strata, INTERVAL) == pytest.approx(tuple(found.confidence_interval), abs=1e-12)


def test_without_variation_between_units_the_hierarchical_interval_is_that_of_the_instances():
    values = np.random.default_rng(3).normal(0.2, 0.3, (1, 1, 150))
    low, high = hierarchical_interval([values], INTERVAL)
    assert (low, high) == pytest.approx(stratified_interval([values[0, 0]], INTERVAL), abs=0.01)


def test_the_hierarchical_interval_covers_the_choice_of_corpora_models_and_seeds():
    # Instances hardly vary, units do: the means of the corpora are 0 and 1, so resamples lie at 0, 1/2 and 1.
    corpora = [np.full((1, 1, 20), 0.0), np.full((1, 1, 30), 1.0)]
    assert hierarchical_interval(corpora, INTERVAL) == (0.0, 1.0)
    models = [np.stack([np.zeros((1, 20)), np.ones((1, 20))])]
    assert hierarchical_interval(models, INTERVAL) == (0.0, 1.0)
    seeds = [np.stack([np.zeros(20), np.ones(20)])[None]]
    assert hierarchical_interval(seeds, INTERVAL) == (0.0, 1.0)


def test_a_missing_combination_of_corpus_and_model_is_left_out():
    corpora = [np.full((2, 1, 5), 0.25), np.full((2, 1, 5), 0.25)]
    corpora[1][0] = np.nan
    assert hierarchical_interval(corpora, INTERVAL) == (0.25, 0.25)


# Comparisons


def test_one_stratum_is_the_paired_t_test_and_two_are_welchs():
    rng = np.random.default_rng(4)
    one, other = rng.normal(0.1, 0.3, 40), rng.normal(0.2, 0.5, 25)
    assert difference_p([one]) == pytest.approx(stats.ttest_1samp(one, 0).pvalue)
    assert difference_p([one, -other]) == pytest.approx(stats.ttest_ind(one, other, equal_var=False).pvalue)


def test_equivalence_is_two_one_sided_tests():
    rng = np.random.default_rng(5)
    first, second = rng.random(50), rng.random(50)
    for margin in (0.01, 0.1, 0.3):
        known = ttost_paired(first, second, -margin, margin)[0]
        assert equivalence_p([first - second], margin) == pytest.approx(known)


def test_without_any_variation_counts_alone_decide():
    same, always = [np.zeros(20)], [np.ones(20)]
    assert difference_p(same) == 1.0
    assert difference_p(always) == pytest.approx(2 * 0.5**20)
    # Were 5 % of the differences 1, none of 20 would be with probability 0.95^20.
    assert equivalence_p(same, 0.05) == pytest.approx(0.95**20)
    assert equivalence_p(always, 0.05) == 1.0
    found = compare(same, INTERVAL, 0.05)
    assert (found.value, found.effect) == (0.0, None)
    assert (found.low, found.high) == pytest.approx((0.025 ** (1 / 20) - 1, 1 - 0.025 ** (1 / 20)))


def test_a_comparison_by_hand():
    found = compare([np.array([0.1, 0.3, 0.2, 0.4])], INTERVAL)
    assert (found.n, found.value, found.p_equivalent) == (4, pytest.approx(0.25), None)
    assert found.effect == pytest.approx(0.25 / np.std([0.1, 0.3, 0.2, 0.4], ddof=1))
    assert 0.1 < found.low < 0.25 < found.high < 0.4
    assert compare([np.array([0.1])], INTERVAL) is compare([], INTERVAL) is None


def test_holm_by_hand():
    # 0.01 * 3, then 0.02 * 2, then 0.03 * 1 but never less than the one before.
    assert holm([0.02, 0.01, None, 0.03]) == pytest.approx([0.04, 0.03, None, 0.04])
    assert holm([None, 0.9, 0.8]) == pytest.approx([None, 1.0, 1.0])
    assert holm([]) == []


# Coverage, by simulation; benchmarks/coverage.py makes the table of docs/methods.md


SIMULATED = [name for name in MEANS if not name.startswith("flip rate 0.") or "draws" in name]


@pytest.mark.parametrize("name", SIMULATED)
def test_nominal_intervals_hold_the_truth_in_93_to_97_percent(name):
    assert 0.93 <= coverage(name, 100, 2000, FEW) <= 0.97


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("n", [100, 300])
def test_intervals_of_rates_hold_the_truth_in_93_to_97_percent(rate, n):
    # Exactly: over all numbers of flips, each with its binomial probability.
    held = 0.0
    for flips in range(n + 1):
        low, high = mean_interval([1.0] * flips + [0.0] * (n - flips), INTERVAL)
        held += stats.binom(n, rate).pmf(flips) * (low <= rate <= high)
    assert 0.93 <= held <= 0.97


def test_coverage_over_strata():
    assert 0.93 <= stratified_coverage(100, 2000, FEW) <= 0.97


def test_at_30_instances_intervals_of_rare_differences_are_too_short_and_others_are_not():
    assert coverage("difference of flip rates 0.05 and 0.02", 30, 400, FEW) < 0.9
    assert coverage("flip rate 0.05", 30, 400, FEW) > 0.9


@pytest.mark.long
@pytest.mark.parametrize("n", [100, 300])
@pytest.mark.parametrize("name", SIMULATED)
def test_coverage_with_many_simulations(name, n):
    assert 0.93 <= coverage(name, n, 4000, INTERVAL | {"resamples": 1000}) <= 0.97


def test_the_hierarchical_interval_is_better_with_more_units():
    few, more = (hierarchical_coverage(*units, 30, 100, FEW) for units in ((2, 1, 1), (10, 5, 1)))
    assert few < 0.8 < more
