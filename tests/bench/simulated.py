"""Made-up minutes of menu generations, second by second, and the looks a rule takes at them, by the thousand days.

Events come as a Poisson process and each fails on its own. A look is taken at the end of every second, with the pane that is open then,
as the alerter does; what it decides is asked of the product's own gates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Looks = NDArray[np.bool_]

_PANE_S: Final = 10
#: How often Prometheus would look by default.
PLAIN_EVERY_S: Final = 15


def traffic(random: np.random.Generator, per_min: float, error_ratio: NDArray[np.float64]) -> tuple[Counts, Counts]:
    """Events and failed events of each second; `error_ratio` by second."""
    events = random.poisson(per_min / 60, len(error_ratio))
    return events, random.binomial(events, error_ratio)


def over_windows(counts: Counts, window_s: int) -> Counts:
    """What each look sees: the window that ends with the pane that is open, up to the second of the look."""
    before = np.concatenate(([0], np.cumsum(counts)))
    seconds = np.arange(len(counts))
    starts = np.maximum(0, (seconds // _PANE_S + 1) * _PANE_S - window_s)
    return before[seconds + 1] - before[starts]


def fewest_errors(holds: Callable[[int, int], bool], most_events: int) -> Counts:
    """By number of events, the fewest errors with which `holds(errors, events)`; one more than there are events where none are enough."""
    fewest = np.zeros(most_events + 1, dtype=np.int64)
    errors = 1
    for events in range(most_events + 1):
        while errors <= events and not holds(errors, events):
            errors += 1
        if errors <= events:
            fewest[events] = errors  # with more events it takes as many errors, or more
        else:
            fewest[events], errors = events + 1, 1
    return fewest


def true_looks(events: Counts, errors: Counts, window_s: int, fewest: Counts) -> Looks:
    """The looks that find the rule's condition true."""
    seen = over_windows(events, window_s)
    return over_windows(errors, window_s) >= fewest[seen]


def plain_looks(events: Counts, errors: Counts, window_s: int, threshold: float, for_s: int) -> Looks:
    """A ratio over the last `window_s` above `threshold` at each look of `for_s`: what an alert without gates has."""
    ends = np.arange(PLAIN_EVERY_S, len(events) + 1, PLAIN_EVERY_S)
    starts = np.maximum(0, ends - window_s)
    all_events, all_errors = (np.concatenate(([0], np.cumsum(counts))) for counts in (events, errors))
    above = all_errors[ends] - all_errors[starts] > threshold * (all_events[ends] - all_events[starts])
    held = np.convolve(above, np.ones(for_s // PLAIN_EVERY_S + 1, dtype=np.int64))[: len(above)] == for_s // PLAIN_EVERY_S + 1
    looks = np.zeros(len(events), dtype=np.bool_)
    looks[ends[held] - 1] = True
    return looks


def incidents(looks: Looks, keep_firing_s: int) -> int:
    """How often a rule that is true at these looks opens; one that comes back within `keep_firing_s` had not ended."""
    true_at = np.flatnonzero(looks)
    return 0 if len(true_at) == 0 else 1 + int((np.diff(true_at) > keep_firing_s).sum())


def first_after(looks: Looks, second: int) -> float:
    """Seconds from the start of `second` to the end of the first true look; infinite when there is none."""
    true_at = np.flatnonzero(looks[second:])
    return float(true_at[0] + 1) if len(true_at) else float("inf")
