"""From what was watched to what was promised: the figures, and whether each promise was kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tests.integration.worker.stack import Stack
from tests.outages.watching import Watch, growth, longest_silence, most_per_minute, rounded, spread, within

#: The bound of the design, at any time.
MAX_WORKER_MB = 400
#: Memory may grow by what the repeat window keeps of each event it sees, and by the noise of an allocator.
WINDOW_BYTES_PER_EVENT = 32
NOISE_MB = 32
MAX_SILENCE_S = 5.0
MAX_PAGED_AFTER_S = 30.0
MIN_CATCH_UP_RATIO = 2.0
MAX_LINES_PER_MINUTE = 60
STORED_WITHIN_S = 120.0
#: The load settles, and what start-up left behind is collected, before growth is looked at.
SETTLED_AFTER_S = 15.0

#: What the panes call the kinds of events of the load.
PANES_OF = {
    "menu_generated full": "metric = 'menu_generation' AND labels['outcome'] = 'full'",
    "menu_generated failed": "metric = 'menu_generation' AND labels['outcome'] = 'failed'",
    "recipe_view": "metric = 'recipe_interaction'",
    "api_request": "metric = 'api_request'",
}


async def stored(stack: Stack, sent: dict[str, Any], until: Callable[[Callable[[], Any], float, str], Awaitable[float]]) -> dict[str, Any]:
    """What ClickHouse has of each kind, as soon as its events are as many as were sent, or after waiting for it."""
    counts: dict[str, Any] = {}

    def equal() -> bool:
        counts.update(count(stack))
        return bool(counts["events"] == counts["distinct_ids"] == sent["accepted"] and counts["panes"] == sent["by"])

    try:
        await until(equal, STORED_WITHIN_S, "every event")
    except SystemExit:
        return counts  # the promise says by how much it differs
    return counts


def count(stack: Stack) -> dict[str, Any]:
    (events,) = stack.query(
        "SELECT count() AS events, uniqExact(event_id) AS distinct_ids FROM events WHERE event_type != 'accepted_count'"
    )
    panes = {kind: stack.one(f"SELECT sum(count) FROM panes WHERE {which}") for kind, which in PANES_OF.items()}
    return {**events, "panes": {kind: total for kind, total in panes.items() if total}}


def seen(
    watch: Watch,
    marks: dict[str, float],
    per_s: int,
    incident: dict[str, Any],
    sent: dict[str, Any],
    stored: dict[str, Any],
    counters: dict[str, Any],
) -> dict[str, Any]:
    """The document of one run. Times in `marks` are monotonic seconds: begin, away, back, answers, caught_up, end."""
    periods = {
        "before": (marks["begin"], marks["away"]),
        "during": (marks["away"], marks["back"]),
        "catching_up": (marks["back"], marks["caught_up"]),
        "after": (marks["caught_up"], marks["end"]),
    }
    workers = [name for name in watch.rss_mb if name.startswith("worker")]
    settled = (marks["away"] + min(SETTLED_AFTER_S, (marks["back"] - marks["away"]) / 4), marks["back"])
    positions = within(watch.position, marks["answers"], marks["caught_up"] + 1)
    took_s = positions[-1][0] - marks["answers"]
    rate = (positions[-1][1] - watch_before(watch, marks["away"])) / took_s
    document = {
        "rss_mb": {
            name: {period: spread(within(watch.rss_mb[name], *times)) for period, times in periods.items()} for name in watch.rss_mb
        },
        "growth_during_mb": {name: growth(within(watch.rss_mb[name], *settled)) for name in workers},
        "silence_s": {period: longest_silence(watch.flushes, *times) for period, times in periods.items()},
        "silence_of_news_s": {period: longest_silence(watch.news, *times) for period, times in periods.items()},
        "incident": incident,
        "catch_up": {"took_s": took_s, "events_per_s": rate, "ingest_per_s": per_s, "ratio": rate / per_s},
        "sent": {"events": sent["accepted"], "by": sent["by"], "refused_batches": sent["refused_batches"]},
        "stored": stored,
        "workers": counters,
        "log_lines_per_minute": {name: most_per_minute(within(lines, *periods["during"])) for name, lines in watch.log_lines.items()},
        "events_during": int(per_s * (marks["back"] - marks["away"])),
    }
    return {name: rounded(value) for name, value in document.items()}


def watch_before(watch: Watch, at: float) -> float:
    """Where ClickHouse stood when it was last asked before `at`."""
    return max(position for asked, position in watch.position if asked < at)


def promises(seen: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """What was promised, what was seen, whether it was kept."""
    highest_mb = max(period["max"] for name in seen["growth_during_mb"] for period in seen["rss_mb"][name].values())
    grown_mb = max(seen["growth_during_mb"].values())
    allowed_mb = NOISE_MB + seen["events_during"] * WINDOW_BYTES_PER_EVENT / (1 << 20)
    incident, catch_up, sent, stored = seen["incident"], seen["catch_up"], seen["sent"], seen["stored"]
    let_go = max(counts["end"]["let_go"] for counts in seen["workers"].values())
    rewinds = sum(counts["end"]["rewinds"] for counts in seen["workers"].values())
    lines = max(seen["log_lines_per_minute"].values())
    return [
        (f"a worker's memory stays below {MAX_WORKER_MB} MB", f"{highest_mb:.0f} MB", highest_mb < MAX_WORKER_MB),
        (f"and grows by less than {allowed_mb:.0f} MB while away", f"{grown_mb:+.1f} MB", grown_mb < allowed_mb),
        (
            f"every partition flushes within {MAX_SILENCE_S:.0f} s while away, with news",
            f"{seen['silence_of_news_s']['during']:.1f} s",
            seen["silence_of_news_s"]["during"] < MAX_SILENCE_S,
        ),
        (
            f"an incident is paged within {MAX_PAGED_AFTER_S:.0f} s while away, once, and resolved once",
            f"{incident['paged_after_s']:.1f} s, {incident['pages']} page, {incident['resolutions']} resolution",
            incident["paged_after_s"] < MAX_PAGED_AFTER_S and incident["pages"] == incident["resolutions"] == 1,
        ),
        (
            f"catch-up at {MIN_CATCH_UP_RATIO:.0f} x the ingest or more",
            f"{catch_up['events_per_s']:.0f} events/s, {catch_up['ratio']:.1f} x, in {catch_up['took_s']:.1f} s",
            catch_up["ratio"] >= MIN_CATCH_UP_RATIO,
        ),
        (
            f"{sent['events']} events sent, each stored once",
            f"{stored['events']} stored, {stored['distinct_ids']} distinct",
            stored["events"] == stored["distinct_ids"] == sent["events"],
        ),
        ("panes hold what was sent, by kind", _difference(sent["by"], stored["panes"]), stored["panes"] == sent["by"]),
        ("effects are let go of once per worker, partitions read again once", f"{let_go:.0f} times, {rewinds:.0f} partitions",
         let_go <= 1 and rewinds <= 12),
        (f"at most {MAX_LINES_PER_MINUTE} log lines a minute and role while away", f"{lines:.0f} lines", lines <= MAX_LINES_PER_MINUTE),
    ]  # fmt: skip


def _difference(sent: dict[str, int], stored: dict[str, int]) -> str:
    differing = [f"{kind}: {sent.get(kind, 0)} sent, {stored.get(kind, 0)} in panes" for kind in sorted({*sent, *stored})
                 if sent.get(kind) != stored.get(kind)]  # fmt: skip
    return "; ".join(differing) or "equal"


def table(seen: dict[str, Any], promises: list[tuple[str, str, bool]]) -> str:
    """Memory by period, then the promises."""
    lines = [f"{'resident MB':<12} {'period':<12} {'min':>7} {'median':>7} {'max':>7} {'per min':>8}"]
    for name, periods in seen["rss_mb"].items():
        lines += [
            f"{name:<12} {period:<12} {s['min']:>7.1f} {s['median']:>7.1f} {s['max']:>7.1f} {s['per_min']:>+8.2f}"
            for period, s in periods.items()
        ]
    lines.append("")
    lines += [f"{'kept  ' if kept else 'BROKEN'} {what}: {text}" for what, text, kept in promises]
    return "\n".join(lines)
