from __future__ import annotations

import json
from typing import Any

import pytest

from tests.bench.chart import draw
from tests.bench.report import BEGIN, CHART, END, README, RESULTS, inserted, section

MACHINE = {"cpu": "A CPU", "cores": 2, "ram_gib": 24, "kernel": "Linux 6", "python": "3.11.7"}
OURS: dict[str, Any] = {"who": "ours", "events_per_s": 98_765, "cpu_us_per_event": 10.04, "rss_mb": 300.4, "invalid": "", "note": "a|b"}


def lines(results: dict[str, Any]) -> list[str]:
    return section({"machine": MACHINE, **results}).splitlines()


def test_the_readme_shows_the_committed_results() -> None:
    """Section and chart are what the results file gives: nobody has edited a number, or forgotten to render."""
    results = json.loads(RESULTS.read_text("utf-8"))
    assert inserted(README.read_text("utf-8"), section(results)) == README.read_text("utf-8")
    assert CHART.read_text("utf-8") == draw(results)


def test_a_table_has_a_line_per_row() -> None:
    """Numbers are rounded and grouped, a bar in a text does not end its cell, empty columns are left out."""
    assert "| worker | events/s | CPU µs/event | RSS MiB | what is different |" in lines({"rows": [OURS]})
    assert "| ours | 98,765 | 10.0 | 300 | a\\|b |" in lines({"rows": [OURS]})


def test_an_invalid_run_has_its_reason_instead_of_figures() -> None:
    """Nobody mistakes a worker that did not do the work for a fast one."""
    broken = {"who": "other", "events_per_s": None, "cpu_us_per_event": None, "rss_mb": None, "invalid": "lost 3 rows", "note": ""}
    assert "| other | – | – | – | lost 3 rows |  |" in lines({"rows": [OURS, broken]})


def test_the_machine_is_named() -> None:
    """Figures without their machine say nothing."""
    assert "A CPU, 2 cores, 24 GiB, Linux 6, Python 3.11.7" in lines({})[0]


@pytest.mark.parametrize(("others", "warned"), [(0.05, False), (1.34, True)])
def test_figures_of_a_busy_machine_say_so(others: float, warned: bool) -> None:
    """The worst section decides."""
    conditions = {"growth": {"seconds": 60, "others_busy_cores": others}, "users": {"seconds": 60, "others_busy_cores": 0.0}}
    assert any("up to 1.3 of its cores" in line for line in lines({"conditions": conditions})) is warned


def test_what_was_not_measured_is_left_out() -> None:
    """No heading without a table."""
    assert not any(line.startswith("|") for line in lines({"growth": []}))


def test_only_what_is_between_the_markers_changes() -> None:
    """The rest of the README stays to the byte."""
    text = f"before\n{BEGIN}old\n{END}\nafter"
    assert inserted(text, "new\n") == f"before\n{BEGIN}new\n{END}\nafter"


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_markers_that_are_not_there_once_are_refused(text: str) -> None:
    """Nothing is written to a place that has to be guessed."""
    with pytest.raises(ValueError, match="once each"):
        inserted(text, "new\n")
