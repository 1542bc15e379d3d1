"""`make chaos-selftest`: the oracle of alerting goes red, for the right reason, without either of two safeguards."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.chaos.alerting.plant import Plant
from tests.chaos.alerting.run import Options, Outcome, run_one
from tests.chaos.runs import laws_of, say

#: Small, and with a kill between what Slack does and its answer, and sleepers on both sides.
SEED, INCIDENTS, ONSETS_S = 1, 16, 25


@dataclass(frozen=True, slots=True)
class Case:
    """Without the safeguard there must be a difference of one of `laws`, and of nothing but these and `follows`."""

    plant: Plant
    laws: frozenset[str]
    follows: frozenset[str]


CASES: Final = (
    # A notifier that died between posting and writing that down: the next one posts again, or replies again.
    Case(Plant.SLACK_DEDUPE, frozenset({"D2"}), frozenset()),
    # Who slept goes on from what it knew: what the other one has said is said again, or what it has ended is begun again.
    Case(Plant.FENCE, frozenset({"Z1", "Z2"}), frozenset({"A1", "A2", "A3", "P1", "P2", "D1", "D2"})),
)


def verdict(case: Case, differences: Sequence[str]) -> str | None:
    """What is wrong with the oracle; None: it found what it had to."""
    found = laws_of(differences)
    if not found & case.laws:
        return f"no difference of {', '.join(sorted(case.laws))}"
    others = found - case.laws - case.follows
    return f"differences of {', '.join(sorted(others))} too" if others else None


def main() -> int:
    """The exit code: 0 only if every safeguard was missed."""
    wrong = 0
    for case in CASES:
        say(f"without {case.plant}")
        options = Options(SEED, INCIDENTS, ONSETS_S, well_after_s=0, plant=case.plant)
        outcome = run_one(options, keep=partial(_is_wrong, case))
        problem = _problem(case, outcome)
        for difference in outcome.differences[:12]:
            say(f"  {difference}")
        say(f"without {case.plant}: {'found' if problem is None else f'NOT FOUND: {problem}'}: {outcome}")
        wrong += problem is not None
    return 1 if wrong else 0


def _is_wrong(case: Case, outcome: Outcome) -> bool:
    return _problem(case, outcome) is not None


def _problem(case: Case, outcome: Outcome) -> str | None:
    return verdict(case, outcome.report.differences)


if __name__ == "__main__":
    sys.exit(main())
