"""The results as one SVG, readable on light and dark pages: who costs what, how long an event takes, what the millionth event costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Any, Final, NamedTuple

Row = Mapping[str, Any]

_WIDTH, _HEIGHT = 880, 496
_PANEL_WIDTH, _PANEL_HEIGHT = 400, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 26, 454, 30, 264
_LABEL_WIDTH, _TEXT_WIDTH = 132, 92

#: Its own background: a page's colours need not follow the system's.
_STYLE: Final = """
text{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#3b4252}
.title{font-weight:600;font-size:13px;fill:#1c2128}
.card{fill:#ffffff;stroke:#d6dbe1}
.grid{stroke:#e3e7ec;fill:none}
.ours{fill:#0b7a5c}.ours-pale{fill:#8fd3bd}
.peer{fill:#8a94a3}
.line{stroke:#0b7a5c;stroke-width:2;fill:none}
@media (prefers-color-scheme:dark){
text{fill:#b6bfca}
.title{fill:#eceff4}
.card{fill:#161b22;stroke:#30363d}
.grid{stroke:#2b323b}
.ours{fill:#3ecf9f}.ours-pale{fill:#1f6b55}
.peer{fill:#6b7685}
.line{stroke:#3ecf9f}
}"""


class Bar(NamedTuple):
    """`value` is drawn solid; `pale`, when larger, behind it; both from 0."""

    label: str
    value: float
    text: str
    style: str = "ours"
    pale: float = 0.0


def draw(results: Mapping[str, Any]) -> str:
    """An SVG document of what `build/bench.json` holds; a panel whose section was not run is left empty."""
    panels = [
        _bars(_LEFT, _TOP, "CPU per event, µs: same events, broker and engine", _costs(results.get("rows", []))),
        _bars(_RIGHT, _TOP, "From publish to seen, ms: p50, and p99 behind it", _latencies(results.get("latency", []))),
        _line(_LEFT, _BOTTOM, "CPU per event, µs, as millions have been read", _curve(results, "cpu_us_per_event")),
        _line(_RIGHT, _BOTTOM, "Resident memory of the worker meanwhile, MiB", _curve(results, "rss_mb")),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Benchmark results">',
            f"<style>{_STYLE}\n</style>",
            f'<rect class="card" x=".5" y=".5" width="{_WIDTH - 1}" height="{_HEIGHT - 1}" rx="8"/>',
            *panels,
            "</svg>\n",
        ]
    )


def ceiling(value: float) -> float:
    """The least of 1, 2, 2.5, 5 or 10 times a power of ten that is not below `value`: the end of an axis."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if value <= step * power * (1 + 1e-9))


def _costs(rows: Sequence[Row]) -> list[Bar]:
    valid = [row for row in rows if row["cpu_us_per_event"] is not None]
    return [
        Bar(row["who"], row["cpu_us_per_event"], f"{row['cpu_us_per_event']:.1f}", "ours" if row["who"] == "ours" else "peer")
        for row in sorted(valid, key=lambda row: float(row["cpu_us_per_event"]))
    ]


def _latencies(rows: Sequence[Row]) -> list[Bar]:
    return [
        Bar(
            f"{what}, {row['events_per_s']:,}/s",
            row[f"{what}_p50_ms"],
            f"{row[f'{what}_p50_ms']:,.0f} · {row[f'{what}_p99_ms']:,.0f}",
            pale=row[f"{what}_p99_ms"],
        )
        for what in ("pane", "row")
        for row in rows
        if row[f"{what}_p50_ms"] is not None
    ]


def _curve(results: Mapping[str, Any], figure: str) -> list[tuple[float, float]]:
    return [(row["events"], row[figure]) for row in results.get("growth_curve", [])]


def _bars(x: int, y: int, title: str, bars: Sequence[Bar]) -> str:
    parts = [_text(x, y, title, "title")]
    room = _PANEL_WIDTH - _LABEL_WIDTH - _TEXT_WIDTH
    longest = max((max(bar.value, bar.pale) for bar in bars), default=1.0)
    step = (_PANEL_HEIGHT - 20) / max(len(bars), 5)
    for place, bar in enumerate(bars):
        top = y + 16 + place * step
        parts.append(_text(x, top + 15, bar.label))
        for value, style in ((bar.pale, f"{bar.style}-pale"), (bar.value, bar.style)):
            if value:
                width = max(1.0, value / longest * room)
                parts.append(f'<rect class="{style}" x="{x + _LABEL_WIDTH}" y="{top:.1f}" width="{width:.1f}" height="22" rx="2"/>')
        end = x + _LABEL_WIDTH + max(bar.value, bar.pale) / longest * room
        parts.append(_text(end + 6, top + 15, bar.text))
    return "\n".join(parts)


def _line(x: int, y: int, title: str, points: Sequence[tuple[float, float]]) -> str:
    parts = [_text(x, y, title, "title")]
    if not points:
        return parts[0]
    left, right, top, bottom = x + 34, x + _PANEL_WIDTH - 16, y + 20, y + _PANEL_HEIGHT - 18
    highest, last = ceiling(max(value for _, value in points)), points[-1][0]
    for part in (0, 0.5, 1):
        height = bottom - part * (bottom - top)
        parts.append(f'<line class="grid" x1="{left}" y1="{height:.1f}" x2="{right}" y2="{height:.1f}"/>')
        parts.append(_text(left - 6, height + 4, f"{highest * part:g}", anchor="end"))
        parts.append(_text(left + part * (right - left), bottom + 18, _events(last * part), anchor="middle"))
    places = [f"{left + at / last * (right - left):.1f},{bottom - value / highest * (bottom - top):.1f}" for at, value in points]
    parts.append(f'<polyline class="line" points="{" ".join(places)}"/>')
    return "\n".join(parts)


def _events(count: float) -> str:
    return f"{count / 1e6:g} M" if count >= 1e5 else f"{ceil(count):,}"


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text{named} x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'
