"""Statistics: against hand-worked cases, other implementations, and the truth in simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planted import FEW, MEANS, coverage, hierarchical_coverage, stratified_coverage
from planted_hits import HITS, bootstrap, fall_to_nothing, hit_coverage
from rationale_eval.statistics.comparison import compare, difference_p, holm, non_superiority_p
from rationale_eval.statistics.intervals import (
    DIFFERENCE,
    constant_interval,
    corrected_interval,
    mean_interval,
    proportion_interval,
)
from rationale_eval.statistics.labels import entropy, macro_f1, majority, margins
from rationale_eval.statistics.rare import extended_means, few_differ, rare_interval, sign_flip_p
from rationale_eval.statistics.resampling import hierarchical_interval, mean_of_means, stratified_interval
from report_trees import INTERVAL
from scipy import stats

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


# Few values that differ


@pytest.mark.parametrize("hits", [0, 1, 4])
def test_the_bound_of_gaffke_is_clopper_and_pearsons_for_zeros_and_ones(hits):
    values = np.append(np.zeros(40 - hits), np.ones(hits))
    known = stats.binomtest(hits, 40).proportion_ci(method="exact")
    many = INTERVAL | {"resamples": 200_000}
    assert rare_interval([values], [0.0], [1.0], many) == pytest.approx((known.low, known.high), abs=0.001)


def test_the_weights_are_uniform_on_the_simplex_whatever_values_are_equal():
    # The mean over the weights of values 0, 0, 0.5 and the end 1 is their mean; its variance that of a Dirichlet.
    (means,) = extended_means([np.array([0.0, 0.0, 0.5])], [[1.0]], 400_000, 3)
    extended = np.array([0.0, 0.0, 0.5, 1.0])
    assert means.mean() == pytest.approx(extended.mean(), abs=0.002)
    assert means.var() == pytest.approx(extended.var() / 5, rel=0.01)


def test_few_differ_if_most_are_one_value_and_fewer_than_thirty_are_not():
    assert few_differ([np.append(np.zeros(31), np.linspace(0.1, 1, 29))])
    assert not few_differ([np.append(np.zeros(29), np.linspace(0.1, 1, 29))])
    assert not few_differ([np.append(np.zeros(300), np.linspace(0.1, 1, 30))])
    assert few_differ([np.append(np.ones(20), 0.5), np.zeros(5)])
    assert few_differ([np.full(10, 0.3) + np.linspace(0, 1e-9, 10)])


def test_rare_hits_have_a_wider_interval_than_the_bootstraps():
    values = [0.0] * 46 + [0.3, 0.4]
    low, high = mean_interval(values, INTERVAL)
    assert 0 <= low < np.mean(values) < high
    # None of 48 and a hit of size 1 beside: at least what Clopper and Pearson leave above no hits.
    assert high > 1 - 0.025 ** (1 / 48) > stratified_interval([np.array(values)], INTERVAL)[1]
    assert mean_interval(values, INTERVAL, None) == stratified_interval([np.array(values)], INTERVAL)


def test_without_a_hit_f1_is_not_told_to_be_below_chance():
    # Five texts without a hit: half of all texts could have one.
    chance = [0.05, 0.12, 0.08, 0.07, 0.1]
    low, high = corrected_interval([0.0] * 5, chance, INTERVAL)
    assert low < -np.mean(chance) < 0 < high
    # By Clopper and Pearson's bound of none of five; the chance varies little beside it.
    assert high == pytest.approx(1 - 0.025 ** (1 / 5) - np.mean(chance), abs=0.06)
    assert stratified_interval([-np.array(chance)], INTERVAL)[1] < 0


def test_ordinary_f1_above_chance_has_the_bootstraps_interval():
    rng = np.random.default_rng(6)
    f1, chance = rng.beta(2, 4, 60), rng.uniform(0.05, 0.2, 60)
    assert corrected_interval(f1, chance, INTERVAL) == stratified_interval([f1 - chance], INTERVAL)


def test_f1_that_is_its_chance_everywhere_has_the_interval_of_a_constant():
    chance = np.linspace(0.1, 0.3, 12)
    most = 1 - 0.025 ** (1 / 12)
    found = corrected_interval(chance + 1e-9, chance, INTERVAL)
    assert found == pytest.approx((-most * 0.3, most * 0.9), abs=1e-6)


def test_interval_of_nothing_is_none():
    assert mean_interval([], INTERVAL) == corrected_interval([], [], INTERVAL) == (None, None)
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


def test_non_superiority_is_a_one_sided_t_test_against_the_margin():
    rng = np.random.default_rng(5)
    one, other = rng.normal(0.0, 0.3, 50), rng.normal(-0.1, 0.5, 35)
    for margin in (0.02, 0.1, 0.3):
        assert non_superiority_p([one], margin) == pytest.approx(
            stats.ttest_1samp(one, margin, alternative="less").pvalue
        )
        known = stats.ttest_ind(one - 2 * margin, -other, equal_var=False, alternative="less").pvalue
        assert non_superiority_p([one, other], margin) == pytest.approx(known)


def test_without_any_variation_counts_alone_decide():
    same, always = [np.zeros(20)], [np.ones(20)]
    assert difference_p(same) == 1.0
    assert difference_p(always) == pytest.approx(2 * 0.5**20)
    # Were 5 % of the differences 1, none of 20 would be with probability 0.95^20.
    assert non_superiority_p(same, 0.05) == pytest.approx(0.95**20)
    assert non_superiority_p(always, 0.05) == 1.0
    # All at -0.2: only a share of 0.25 / 1.2 at 1 brings the mean to 0.05.
    assert non_superiority_p([np.full(20, -0.2)], 0.05) == pytest.approx((1 - 0.25 / 1.2) ** 20)
    found = compare(same, INTERVAL, 0.05)
    assert (found.value, found.effect, found.nonzero) == (0.0, None, 0)
    assert (found.low, found.high) == pytest.approx((0.025 ** (1 / 20) - 1, 1 - 0.025 ** (1 / 20)))


def test_few_differences_say_little_of_those_that_are_missing():
    # One fall in 100: the t test takes its size for all that can happen, and puts the mean far below 0.02.
    fall = np.append(np.zeros(99), -0.1)
    assert stats.ttest_1samp(fall, 0.02, alternative="less").pvalue < 1e-10
    # Without the fall, 100 zeros would have 0.98^100.
    assert non_superiority_p([fall], 0.02) == pytest.approx(0.98**100, abs=0.02)
    found = compare([fall], INTERVAL, 0.02)
    assert found.high > 0.025 > stratified_interval([fall], INTERVAL)[1]
    # With bounds of 2 a difference twice as large may be missing.
    assert compare([fall], INTERVAL, bounds=(-2.0, 2.0)).high == pytest.approx(2 * found.high, rel=0.05)


@pytest.mark.parametrize(("n", "differing"), [(9, 9), (16, 6), (40, 13)])
def test_the_sign_flip_test_is_scipys_permutation_test(n, differing):
    rng = np.random.default_rng(8)
    values = np.zeros(n)
    values[:differing] = np.round(rng.normal(0.2, 0.4, differing), 1)
    known = stats.permutation_test((values[:differing],), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p([values]) == pytest.approx(known.pvalue)
    assert difference_p([values]) == max(known.pvalue, stats.ttest_1samp(values, 0).pvalue)


def test_differences_in_single_precision_are_tied_where_they_are_equal():
    # Flips minus those of three draws of random words are thirds, which tables hold in single precision. Six are down
    # by a third, one by two, one is up by a third: 7/3 of at most 9/3, which all signs alike and each of seven single
    # signs the other way reach.
    third, two_thirds = float(np.float32(1 / 3)), float(np.float32(2 / 3))
    flips = np.array([-third] * 6 + [-two_thirds, 1.0 - two_thirds])
    assert sign_flip_p([flips]) == 2 * (1 + 7) / 2**8


def test_the_sign_flip_test_over_strata_weighs_them_alike():
    one, other = np.array([0.3, 0.2, 0.0, -0.1]), np.array([0.5, 0.4, 0.1, 0.1, -0.2, 0.3])

    def mean(first, second, axis):
        return first.mean(axis=axis) / 2 + second.mean(axis=axis) / 2

    signs = np.array(np.meshgrid(*[[-1, 1]] * 10)).reshape(10, -1).T
    all_means = mean(signs[:, :4] * one, signs[:, 4:] * other, axis=1)
    known = np.mean(np.abs(all_means) >= abs(mean(one, other, axis=0)) - 1e-12)
    assert sign_flip_p([one, other]) == pytest.approx(known)


def test_a_sign_flip_test_stands_beside_t_with_few_differences_only():
    rng = np.random.default_rng(9)
    few, many = np.append(np.zeros(80), rng.normal(0.3, 0.4, 29)), np.append(np.zeros(80), rng.normal(0.3, 0.4, 30))
    found = compare([few], INTERVAL)
    assert (found.nonzero, found.p_sign_flip) == (29, sign_flip_p([few]))
    found = compare([many], INTERVAL)
    assert (found.nonzero, found.p_sign_flip) == (30, None)
    assert found.p == pytest.approx(stats.ttest_1samp(many, 0).pvalue)
    with pytest.raises(ValueError, match="30 non-zero differences"):
        sign_flip_p([many])
    # Noise of single precision is no difference.
    assert compare([few + 1e-8], INTERVAL).nonzero == 29
    assert sign_flip_p([np.zeros(10)]) == 1.0
    assert sign_flip_p([np.append(np.zeros(50), 1.0)]) == 1.0


def test_a_comparison_by_hand():
    found = compare([np.array([0.1, 0.3, 0.2, 0.4])], INTERVAL)
    assert (found.n, found.value, found.p_not_above) == (4, pytest.approx(0.25), None)
    assert found.effect == pytest.approx(0.25 / np.std([0.1, 0.3, 0.2, 0.4], ddof=1))
    assert 0.1 < found.low < 0.25 < found.high < 0.4
    assert compare([np.array([0.1])], INTERVAL) is compare([], INTERVAL) is None


def test_holm_by_hand():
    # 0.01 * 3, then 0.02 * 2, then 0.03 * 1 but never less than the one before.
    assert holm([0.02, 0.01, None, 0.03]) == pytest.approx([0.04, 0.03, None, 0.04])
    assert holm([None, 0.9, 0.8]) == pytest.approx([None, 1.0, 1.0])
    assert holm([]) == []


# Coverage, by simulation; benchmarks/coverage.py makes the table of docs/methods.md


# Intervals of values of which few differ hold the truth more often than is nominal; the last kind falls short.
RARE = ("flip rate 0.1 of three random draws", "difference of flip rates 0.05 and 0.02")
RARE = (*RARE, "difference of F1, 5 % of texts differ", "difference, 3 % of 0.9 and 9 % of -0.3")
SHORT = "difference, 3 % of 1 and all others just below 0"
ORDINARY = [name for name in MEANS if not name.startswith("flip rate") and name not in (*RARE, SHORT)]


@pytest.mark.parametrize("name", ORDINARY)
def test_nominal_intervals_hold_the_truth_in_93_to_97_percent(name):
    assert 0.93 <= coverage(name, 100, 2000, FEW) <= 0.97


@pytest.mark.parametrize("n", [15, 48])
@pytest.mark.parametrize("name", RARE)
def test_where_few_differ_intervals_hold_the_truth_no_less_than_nominally(name, n):
    assert coverage(name, n, 500, FEW) >= 0.94


def test_what_a_sample_lacks_altogether_no_interval_of_the_rest_shows():
    # No difference of 1 among 48 has a probability of 0.97^48, 23 %.
    assert coverage(SHORT, 48, 500, FEW) == pytest.approx(1 - 0.97**48, abs=0.07)


@pytest.mark.parametrize("n", [15, 48])
@pytest.mark.parametrize("name", HITS)
def test_intervals_of_f1_above_chance_hold_the_truth_where_hits_are_rare(name, n):
    # 93 %: the standard error of 400 simulations is 1.1 points.
    assert hit_coverage(name, n, 400, FEW)[0] >= 0.93


def test_the_bootstrap_alone_does_not_hold_it_there():
    assert hit_coverage("hits in 5 % of texts", 15, 400, FEW, bootstrap)[0] < 0.85
    assert hit_coverage("hits in 5 % of texts", 48, 400, FEW, bootstrap)[0] < 0.9


def test_a_change_to_no_words_at_all_is_no_surer_than_what_was_before():
    assert hit_coverage("hits in 5 % of texts", 48, 400, FEW, fall_to_nothing)[0] >= 0.95
    f1, chance = np.zeros(5), np.array([0.05, 0.12, 0.08, 0.07, 0.1])
    assert compare([chance - f1], INTERVAL).low > 0 > compare([chance - f1], INTERVAL, chance=[-chance]).low
    assert compare([chance - f1], INTERVAL, 0.01, chance=[-chance]).p_not_above == 1.0


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


@pytest.mark.long
@pytest.mark.parametrize("n", [100, 300])
@pytest.mark.parametrize("name", ORDINARY)
def test_coverage_with_many_simulations(name, n):
    assert 0.93 <= coverage(name, n, 4000, INTERVAL | {"resamples": 1000}) <= 0.975


@pytest.mark.long
@pytest.mark.parametrize("n", [15, 48, 100, 300])
@pytest.mark.parametrize("name", HITS)
def test_coverage_of_f1_above_chance_with_many_simulations(name, n):
    assert hit_coverage(name, n, 2000, INTERVAL | {"resamples": 1000})[0] >= 0.935


def test_the_hierarchical_interval_is_better_with_more_units():
    few, more = (hierarchical_coverage(*units, 30, 100, FEW) for units in ((2, 1, 1), (10, 5, 1)))
    assert few < 0.8 < more
