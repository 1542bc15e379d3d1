"""An independent judge of Online Retail II in ClickHouse: it reads the shop's own file and imports nothing of the project.

    python tests/e2e/judge.py --csv online_retail.csv.xz --clickhouse http://127.0.0.1:8123 [--from 2011-11-01 --to 2011-11-03]

Every row of `error_rate` and `latency` of menu_generation is computed from the file and compared: counts and errors exactly, means to
1e-9, quantiles (rank ceil(p * n)) within 1.1 %. Every event must be in `events` once.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import lzma
import math
import sys
import urllib.parse
import urllib.request
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

WINDOWS_S = (60, 300, 900, 1800, 3600, 21600, 86400)
QUANTILE_TOLERANCE = 0.011


@dataclass(frozen=True)
class Menu:
    """One invoice: when its first row was written (seconds since 1970), how long it took (ms, synthetic), whether it was cancelled."""

    at: int
    duration_ms: float
    failed: bool


def read_shop(csv_xz: Path, begin: datetime | None = None, end: datetime | None = None) -> tuple[list[Menu], int]:
    """The invoices and the number of item rows of [begin, end)."""
    invoices: dict[str, list[Any]] = {}
    items = 0
    for row in csv.DictReader(io.StringIO(lzma.decompress(csv_xz.read_bytes()).decode())):
        at = datetime.strptime(row["InvoiceDate"], "%m/%d/%Y %H:%M").replace(tzinfo=UTC)
        if (begin and at < begin) or (end and at >= end):
            continue
        items += 1
        invoice = invoices.setdefault(row["Invoice"], [int(at.timestamp()), 0.0])
        invoice[1] += 100 + abs(int(row["Quantity"]))
    return [Menu(at, duration, number[0] == "C") for number, (at, duration) in invoices.items()], items


def expected_rows(menus: list[Menu]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """error_rate as {(window_s, start): (total, errors)} and latency as {(window_s, start, outcome): sorted durations}."""
    error_rate: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
    latency: dict[Any, list[float]] = defaultdict(list)
    for menu in menus:
        for window_s in WINDOWS_S:
            start = menu.at - menu.at % window_s
            error_rate[window_s, start][0] += 1
            error_rate[window_s, start][1] += menu.failed
            latency[window_s, start, "failed" if menu.failed else "full"].append(menu.duration_ms)
    return {k: tuple(v) for k, v in error_rate.items()}, {k: sorted(v) for k, v in latency.items()}


def query(clickhouse: str, sql: str) -> list[dict[str, Any]]:
    """Rows of a SELECT over plain HTTP, as the reader."""
    url = f"{clickhouse}/?{urllib.parse.urlencode({'default_format': 'JSONEachRow', 'database': 'telemetry'})}"
    settings = "SETTINGS output_format_json_quote_64bit_integers = 0"
    with urllib.request.urlopen(url, data=f"{sql} {settings}".encode(), timeout=300) as answer:
        return [json.loads(line) for line in answer]


def differences(menus: list[Menu], items: int, clickhouse: str, environment: str = "replay") -> list[str]:
    """One line per thing that is not as the file says, [] when all is right."""
    wrong: list[str] = []
    (counts,) = query(
        clickhouse,
        "SELECT countIf(event_type = 'recipe_view') AS views, countIf(event_type = 'menu_generated') AS menus, count() AS n, "
        f"uniqExact(event_id) AS ids FROM events WHERE environment = '{environment}'",
    )
    if counts != {"views": items, "menus": len(menus), "n": items + len(menus), "ids": items + len(menus)}:
        wrong.append(f"events: {counts}, expected {items} views and {len(menus)} menus, each once")
    error_rate, latency = expected_rows(menus)
    first, last = min(menu.at for menu in menus), max(menu.at for menu in menus)
    period = f"window_start BETWEEN toDateTime({first - first % 86400}) AND toDateTime({last})"
    for window_s in WINDOWS_S:
        where = f"WHERE metric = 'menu_generation' AND window_s = {window_s} AND {period}"
        columns = "toUnixTimestamp(toDateTime(window_start)) AS start"
        wrong += _compare_error_rate(
            {k[1]: v for k, v in error_rate.items() if k[0] == window_s},
            query(clickhouse, f"SELECT {columns}, labels, total, errors, error_ratio FROM error_rate {where}"),
            window_s,
        )
        wrong += _compare_latency(
            {k[1:]: v for k, v in latency.items() if k[0] == window_s},
            query(
                clickhouse, f"SELECT {columns}, labels['outcome'] AS outcome, count, mean_ms, p50_ms, p95_ms, p99_ms FROM latency {where}"
            ),
            window_s,
        )
    return wrong


def _compare_error_rate(expected: dict[int, Any], rows: list[dict[str, Any]], window_s: int) -> list[str]:
    actual = {row["start"]: (row["total"], row["errors"]) for row in rows}
    wrong = [f"error_rate {window_s} s: {len(rows)} rows, {len(expected)} expected"] if len(rows) != len(expected) else []
    wrong += [f"error_rate {window_s} s at {k}: {actual.get(k)}, expected {v}" for k, v in expected.items() if actual.get(k) != v]
    return wrong + [
        f"error_rate {window_s} s at {row['start']}: ratio {row['error_ratio']}"
        for row in rows
        if not math.isclose(row["error_ratio"], row["errors"] / row["total"], rel_tol=1e-12)
    ]


def _compare_latency(expected: dict[Any, list[float]], rows: list[dict[str, Any]], window_s: int) -> list[str]:
    actual = {(row["start"], row["outcome"]): row for row in rows}
    wrong = [f"latency {window_s} s: {len(rows)} rows, {len(expected)} expected"] if len(rows) != len(expected) else []
    for key, durations in expected.items():
        row = actual.get(key)
        if row is None or row["count"] != len(durations):
            wrong.append(f"latency {window_s} s at {key}: {row}, expected count {len(durations)}")
            continue
        mean = math.fsum(durations) / len(durations)
        if not math.isclose(row["mean_ms"], mean, rel_tol=1e-9):
            wrong.append(f"latency {window_s} s at {key}: mean {row['mean_ms']}, expected {mean}")
        for p in (50, 95, 99):
            right = durations[math.ceil(p / 100 * len(durations)) - 1]
            if abs(row[f"p{p}_ms"] - right) > QUANTILE_TOLERANCE * right:
                wrong.append(f"latency {window_s} s at {key}: p{p} {row[f'p{p}_ms']}, expected {right}")
    return wrong


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def main() -> int:
    """The command line: 0 when every number is right."""
    parser = argparse.ArgumentParser(description="Judge Online Retail II in ClickHouse against the shop's own file.")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--clickhouse", required=True)
    parser.add_argument("--from", dest="begin", type=_day)
    parser.add_argument("--to", dest="end", type=_day)
    arguments = parser.parse_args()
    menus, items = read_shop(arguments.csv, arguments.begin, arguments.end)
    wrong = differences(menus, items, arguments.clickhouse)
    print("\n".join(wrong[:50]) or f"right: {len(menus)} menus, {items} views, every window of {len(WINDOWS_S)} lengths")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
