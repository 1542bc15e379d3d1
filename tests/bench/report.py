"""Results to what people look at: tables in the README, and a chart.

    python -m tests.bench.report [FILE]      default: build/bench.json, else the results that are committed

Keeps a copy of the results and the chart in tests/bench/results/, and writes the README's section between its two markers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench.chart import draw

Results = Mapping[str, Any]

ROOT: Final = Path(__file__).parents[2]
README: Final = ROOT / "README.md"
RESULTS: Final = ROOT / "tests" / "bench" / "results" / "bench.json"
CHART: Final = RESULTS.with_suffix(".svg")
BEGIN: Final = "<!-- benchmark: written by `python -m tests.bench.report` -->\n"
#: What others may use without disturbing: the system's own work is less.
QUIET_CORES: Final = 0.15
END: Final = "<!-- end of benchmark -->"


def main(arguments: Sequence[str]) -> None:
    """Render."""
    fresh = ROOT / "build" / "bench.json"
    source = Path(arguments[0]) if arguments else fresh if fresh.exists() else RESULTS
    results = json.loads(source.read_text("utf-8"))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    CHART.write_text(draw(results), "utf-8")
    README.write_text(inserted(README.read_text("utf-8"), section(results)), "utf-8")


def inserted(text: str, new: str) -> str:
    """`text` with `new` in place of what stands between the markers. Raises ValueError when they are not both there, once each."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise ValueError(f"the README needs the two lines {BEGIN.strip()} and {END}, once each")
    return before + begin + new + end + after


def section(results: Results) -> str:
    """The section's Markdown, from the machine to the last table; what was not measured is left out."""
    machine = results["machine"]
    named = f"{machine['cpu']}, {machine['cores']} cores, {machine['ram_gib']} GiB, {machine['kernel']}, Python {machine['python']}"
    parts = [f"Measured by `make bench` on: {named}; broker, engine and senders on the same machine."]
    parts += _disturbed(results)
    parts += [f"![chart]({CHART.relative_to(ROOT)})"]
    parts += [_part(key, results) for key in TABLES if results.get(key)]
    return "\n".join(f"{part}\n" for part in parts)


def _disturbed(results: Results) -> list[str]:
    """A warning when others were at work on the machine meanwhile."""
    busiest = max((row["others_busy_cores"] for row in results.get("conditions", {}).values()), default=0.0)
    if busiest <= QUIET_CORES:
        return []
    return [f"**Not a quiet machine: other programs kept up to {busiest:.1f} of its cores busy meanwhile. Do not quote these figures.**"]


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _tenths(value: float) -> str:
    return f"{value:,.1f}"


def _hundredths(value: float) -> str:
    return f"{value:,.2f}"


Column = tuple[str, str, Callable[[Any], str]]

#: Key in the results → what the table is about, and its columns: heading, key in a row, how it is written. A column without any
#: value is left out.
TABLES: Final[dict[str, tuple[str, Sequence[Column]]]] = {
    "rows": (
        "The same events through different workers, each alone on one core, medians of interleaved rounds:",
        (
            ("worker", "who", str),
            ("events/s", "events_per_s", _whole),
            ("CPU µs/event", "cpu_us_per_event", _tenths),
            ("RSS MiB", "rss_mb", _whole),
            ("CPU, times below stock", "cpu_times_below_stock", _tenths),
            ("invalid", "invalid", str),
            ("what is different", "note", str),
        ),
    ),
    "every_metric": (
        "Our worker and the plain loop on that mix of five event types, and on one of all types, which feeds every metric:",
        (
            ("mix", "mix", str),
            ("CPU µs/event", "cpu_us_per_event", _tenths),
            ("the loop's", "loop_cpu_us_per_event", _tenths),
            ("of the loop's", "of_loop", _hundredths),
            ("invalid", "invalid", str),
        ),
    ),
    "latency": (
        "From when an event was due until a consumer of `panes.v1` has it in a pane, and until a SELECT finds its row; two workers:",
        (
            ("events/s", "events_per_s", _whole),
            ("pane p50 ms", "pane_p50_ms", _whole),
            ("pane p99 ms", "pane_p99_ms", _whole),
            ("row p50 ms", "row_p50_ms", _whole),
            ("row p99 ms", "row_p99_ms", _whole),
            ("cores busy in the workers", "workers_busy_cores", _hundredths),
            ("invalid", "invalid", str),
        ),
    ),
    "gateway": (
        "One gateway on one core, as busy as its senders can make it; answered after Kafka has the events:",
        (
            ("request", "request", str),
            ("connections", "connections", _whole),
            ("requests/s", "requests_per_s", _whole),
            ("events/s", "events_per_s", _whole),
            ("CPU µs/event", "cpu_us_per_event", _tenths),
            ("p50 ms", "p50_ms", _whole),
            ("p99 ms", "p99_ms", _whole),
            ("RSS MiB", "rss_mb", _whole),
        ),
    ),
    "sdk": (
        "A service publishing through the SDK to a gateway on a core of its own, as fast as that takes it:",
        (
            ("round", "round", _whole),
            ("events", "events", _whole),
            ("CPU µs/call", "call_cpu_us", _tenths),
            ("CPU µs/event, sent", "process_cpu_us_per_event", _tenths),
            ("events/s", "events_per_s", _whole),
        ),
    ),
    "growth": (
        "One worker reading on and on, 100,000 users; each row is the stretch up to that many events:",
        (
            ("events", "events", _whole),
            ("CPU µs/event", "cpu_us_per_event", _tenths),
            ("of the first stretch", "of_first_stretch", _hundredths),
            ("events/s", "events_per_s", _whole),
            ("RSS MiB", "rss_mb", _whole),
        ),
    ),
    "users": (
        "By number of different users:",
        (
            ("users", "users", _whole),
            ("events", "events", _whole),
            ("CPU µs/event", "cpu_us_per_event", _tenths),
            ("events/s", "events_per_s", _whole),
            ("RSS MiB", "rss_mb", _whole),
        ),
    ),
    "scaling": (
        "One worker and two over the same events; every core is open to everybody, broker and engine need theirs:",
        (
            ("workers", "workers", _whole),
            ("events/s", "events_per_s", _whole),
            ("of one", "times_one", _hundredths),
            ("CPU µs/event", "cpu_us_per_event", _tenths),
            ("cores busy: workers", "workers_busy_cores", _hundredths),
            ("broker and engine", "broker_and_engine_busy_cores", _hundredths),
        ),
    ),
}


def _part(key: str, results: Results) -> str:
    about, all_columns = TABLES[key]
    columns = [column for column in all_columns if any(row.get(column[1]) not in ("", None) for row in results[key])]
    lines = [[heading for heading, _, _ in columns], ["---" if write is str else "---:" for _, _, write in columns]]
    lines += [[_cell(row, name, write) for _, name, write in columns] for row in results[key]]
    return "\n".join([about, "", *(f"| {' | '.join(cells)} |" for cells in lines)])


def _cell(row: Mapping[str, Any], name: str, write: Callable[[Any], str]) -> str:
    value = row.get(name)
    return "–" if value is None else write(value).replace("|", "\\|")


if __name__ == "__main__":
    main(sys.argv[1:])
