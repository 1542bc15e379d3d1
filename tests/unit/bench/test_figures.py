from __future__ import annotations

from tests.bench.figures import Run, ratio, summary

NOTES = {"ours": "", "stock": "less", "loop": ""}


def run(who: str, number: int, wall_s: float, cpu_s: float, wrong: str = "", rss_mb: float = 100.0) -> Run:
    return Run(who, number, 1_000_000, wall_s, cpu_s, rss_mb, wrong)


def test_figures_of_a_run_are_per_event() -> None:
    """A million events in 20 s of which 8 s on the CPU."""
    one = run("ours", 1, 20, 8)
    assert (one.row()["events_per_s"], one.row()["cpu_us_per_event"]) == (50_000, 8.0)
    assert run("ours", 1, 20, 8, wrong="it died").row()["events_per_s"] is None


def test_a_ratio_is_taken_within_each_round() -> None:
    """A machine that was three times slower in round 2 changes no ratio, though it changes every figure."""
    ours = [run("ours", 1, 10, 5), run("ours", 2, 30, 15), run("ours", 3, 10, 4)]
    loop = [run("loop", 1, 20, 10), run("loop", 2, 60, 30), run("loop", 3, 20, 10)]
    assert ratio(ours, loop, "events_per_s") == 2.0
    assert ratio(ours, loop, "cpu_us_per_event") == 0.5


def test_a_ratio_needs_a_round_in_which_both_did_the_work() -> None:
    """There is none here."""
    assert ratio([run("ours", 1, 10, 5)], [run("loop", 2, 10, 5)], "events_per_s") is None
    assert ratio([run("ours", 1, 10, 5, wrong="lost")], [run("loop", 1, 10, 5)], "events_per_s") is None


def test_the_summary_has_medians_and_the_highest_memory() -> None:
    """Rounds of 10, 20 and 12.5 s; stock takes four times the wall and five times the CPU."""
    runs = [run("ours", number, wall, wall / 2, rss_mb=rss) for number, wall, rss in ((1, 10, 90), (2, 20, 250), (3, 12.5, 100))]
    runs += [run("stock", number, 4 * wall, 2.5 * wall) for number, wall in ((1, 10), (2, 20), (3, 12.5))]
    ours, stock = summary(runs, "stock", "loop", NOTES)
    assert (ours["who"], ours["events_per_s"], ours["cpu_us_per_event"], ours["rss_mb"]) == ("ours", 80_000, 6.25, 250)
    assert (ours["events_per_s_of_stock"], ours["cpu_times_below_stock"]) == (4.0, 5.0)
    assert (ours["events_per_s_of_loop"], ours["cpu_of_loop"]) == (None, None)
    assert (stock["note"], stock["rounds"], stock["cpu_times_below_stock"]) == ("less", 3, 1.0)


def test_a_row_without_the_work_has_no_figures() -> None:
    """One bad round is enough: the row says why, and nobody is compared with it."""
    runs = [run("ours", 1, 10, 5), run("ours", 2, 10, 5, wrong="3 rows of 4"), run("stock", 1, 10, 5), run("stock", 2, 10, 5)]
    ours, stock = summary(runs, "stock", "loop", NOTES)
    assert ours["invalid"] == "3 rows of 4"
    assert [ours[key] for key in ("events_per_s", "cpu_us_per_event", "rss_mb", "cpu_times_below_stock")] == [None] * 4
    assert stock["events_per_s"] == 100_000
