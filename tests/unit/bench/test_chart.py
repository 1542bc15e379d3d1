from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from tests.bench.chart import ceiling, draw

SVG = "{http://www.w3.org/2000/svg}"
RESULTS: dict[str, Any] = {
    "rows": [
        {"who": "stock <Faust>", "cpu_us_per_event": 80.0},
        {"who": "ours", "cpu_us_per_event": 10.0},
        {"who": "broken", "cpu_us_per_event": None},
    ],
    "latency": [{"events_per_s": 20_000, "pane_p50_ms": 100.0, "pane_p99_ms": 200.0, "row_p50_ms": 200.0, "row_p99_ms": 400.0}],
    "growth_curve": [{"events": n * 1_000_000, "cpu_us_per_event": 10.0, "rss_mb": 300} for n in range(1, 11)],
}


def elements(results: dict[str, Any], tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(draw(results)).iter(SVG + tag))


def widths(style: str) -> list[float]:
    return [float(rect.attrib["width"]) for rect in elements(RESULTS, "rect") if rect.get("class") == style]


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    """Eight times the cost is eight times the length, and p99 is twice p50."""
    assert widths("peer")[0] == pytest.approx(8 * widths("ours")[0], rel=0.01)
    assert widths("ours-pale") == pytest.approx([2 * width for width in widths("ours")[1:]], rel=0.01)


def test_what_has_no_figure_has_no_bar() -> None:
    """A worker whose run was invalid is not drawn."""
    texts = [text.text for text in elements(RESULTS, "text")]
    assert "stock <Faust>" in texts
    assert "broken" not in texts


def test_a_flat_cost_is_a_level_line_that_rises_to_the_right_end() -> None:
    """Ten equal points have one height; the last stands where the axis ends."""
    cost, _ = elements(RESULTS, "polyline")
    places = [tuple(map(float, point.split(","))) for point in cost.attrib["points"].split()]
    ends = [float(line.attrib["x2"]) for line in elements(RESULTS, "line")]
    assert len({y for _, y in places}) == 1
    assert places[-1][0] == min(ends)


def test_nothing_measured_is_still_a_document() -> None:
    """The chart is well formed without any section."""
    assert elements({}, "rect")[0].get("class") == "card"


@pytest.mark.parametrize(("value", "end"), [(0, 1), (0.3, 0.5), (1, 1), (1.01, 2), (11.5, 20), (20, 20), (21, 25), (260, 500), (999, 1000)])
def test_an_axis_ends_at_a_round_number(value: float, end: float) -> None:
    """Never below the highest value."""
    assert ceiling(value) == pytest.approx(end)
