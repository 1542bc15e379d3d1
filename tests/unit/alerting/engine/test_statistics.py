from __future__ import annotations

from fractions import Fraction
from math import comb, exp

import pytest

from alerting.engine.evaluate import Asked, Sample, Standing, weigh
from alerting.engine.rule import Rule
from alerting.engine.statistics import poisson_bounds, wilson_bounds
from tests.unit.alerting.engine.panes import rule

#: The 95 % quantile of the standard normal distribution, from a table.
Z = 1.6448536269514722


def holds(of: Rule, numerator: int, denominator: int) -> bool:
    """Whether the rule's only comparison, a ratio, is true of `numerator` of `denominator` events, every partition being in."""
    (comparison,) = of.condition.comparisons
    asked = Asked(comparison, of.gates, of.min_events_for(comparison))
    return weigh(asked, Sample(0, 0, numerator, denominator), Standing(12), list).verdict == "true"


@pytest.mark.parametrize(("errors", "n"), [(0, 20), (1, 12), (2, 20), (10, 100), (50, 100), (7, 7), (52, 1000)])
def test_the_bounds_are_where_the_score_test_rejects(errors: int, n: int) -> None:
    """A bound p is the ratio from which the observed one is exactly z standard errors of p away; that is what Wilson's interval is."""
    for bound in wilson_bounds(errors, n, 0.95):
        assert (errors / n - bound) ** 2 == pytest.approx(Z**2 * bound * (1 - bound) / n, abs=1e-12)


def test_known_values_of_the_lower_bound() -> None:
    """10 of 100 at 95 % on both sides is 5.52 % to 17.44 % in any table of Wilson's interval; none and all reach to 0 and to 1."""
    assert wilson_bounds(10, 100, 0.975)[0] == pytest.approx(0.0552, abs=5e-5)
    assert wilson_bounds(10, 100, 0.975)[1] == pytest.approx(0.1744, abs=5e-5)
    assert wilson_bounds(0, 20, 0.95)[0] == pytest.approx(0, abs=1e-12)
    assert wilson_bounds(20, 20, 0.95)[1] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("errors", "n", "is_evidence"), [(1, 12, False), (2, 20, False), (10, 100, True), (5, 20, True), (4, 20, False)])
def test_few_errors_are_no_evidence(errors: int, n: int, is_evidence: bool) -> None:
    """At 5 %: 1 of 12 and 2 of 20 say nothing, 10 of 100 do; below five errors nothing is said."""
    assert holds(rule("error_rate > 5%"), errors, n) is is_evidence


def test_a_ratio_that_should_be_high_is_judged_by_its_rest() -> None:
    """Full success below 50 %: its failures are the others, and it is the upper bound that has to be below."""
    of = rule("full_success_rate < 50%")
    assert [holds(of, full, 100) for full in (41, 42, 60, 0)] == [True, False, False, True]


def test_without_confidence_the_value_alone_decides() -> None:
    """What is counted in full is no sample: 6 of 100 is above 5 %."""
    of = rule("error_rate > 5%", more=", gates: {confidence: 0}")
    assert holds(of, 6, 100)
    assert not holds(rule("error_rate > 5%"), 6, 100)


def test_a_bound_is_wrong_as_rarely_as_it_says() -> None:
    """Of all outcomes of 200 events at a true 5 %, those whose lower bound is above it have about 5 % of the probability."""
    p = Fraction(1, 20)
    wrong = sum(comb(200, k) * p**k * (1 - p) ** (200 - k) for k in range(201) if wilson_bounds(k, 200, 0.95)[0] > p)
    assert 0.03 < wrong < 0.07


def test_the_bounds_of_a_count_are_wrong_as_rarely_as_they_say() -> None:
    """Of a Poisson count with mean 50, the upper bound is below it, and the lower one above it, about once in 20 times."""
    chance, below, above = exp(-50.0), 0.0, 0.0
    for count in range(200):
        lower, upper = poisson_bounds(count, 0.95)
        below, above = below + chance * (upper < 50), above + chance * (lower > 50)
        chance *= 50 / (count + 1)
    assert 0.03 < below < 0.07
    assert 0.03 < above < 0.07
