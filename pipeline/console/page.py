"""GET /: the open incidents on a page that needs nothing else, loads itself again, and is read at night on a phone. Pure.

What it shows comes from events, so from anybody: every text is escaped, and the page may load and run nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Collection
from datetime import datetime
from html import escape
from typing import Final

from pipeline.console.incidents import OpenIncident
from schemas.alert import Severity
from schemas.timestamps import from_ms, isoformat_ms, to_ms

RELOAD_S: Final = 10
#: Beyond so many nobody reads them one by one.
SHOWN: Final = 200
_KEY_CHARS: Final = 12
_ORDER: Final[dict[Severity, int]] = {"critical": 0, "high": 1, "medium": 2, "low": 3}
_STATES: Final = {
    "firing": "firing",
    "acknowledged": "acknowledged",
    "no_data": "no data",
    "retro_fired": "found late",
}

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --dim: #777; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; }
h1 { font-size: 1.3rem; margin: 0; }
header p, .about { color: var(--dim); margin: 0; font-size: .85rem; }
.notice { border: 1px solid #c60; border-radius: .5rem; padding: .6rem .8rem; margin: 1rem 0; }
.calm { border-color: #2a7; }
article { border: 1px solid var(--line); border-left: .35rem solid var(--mark); border-radius: .5rem; margin: .8rem 0; }
article { padding: .6rem .8rem; }
article h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
article p { margin: .3rem 0; overflow-wrap: anywhere; }
.critical { --mark: #d11; } .high { --mark: #e70; } .medium { --mark: #c9a400; } .low { --mark: #48c; }
.badge, .state { border-radius: .3rem; font-size: .75rem; padding: .1rem .4rem; }
.badge { background: var(--mark); color: #fff; margin-right: .4rem; }
.medium .badge { color: #000; }
.state { border: 1px solid var(--line); font-weight: 400; margin-left: .4rem; }
code { background: #8882; border-radius: .25rem; font-size: .85em; overflow-wrap: anywhere; padding: .05rem .25rem; }
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page(incidents: Collection[OpenIncident], waiting_for: str | None, now_ms: int) -> str:
    """The whole document.

    Args:
        incidents: those that are open.
        waiting_for: why they may be incomplete or old, None when they are not.
        now_ms: when it was asked for.
    """
    worst = sorted(incidents, key=lambda one: (_ORDER[one.severity], one.state == "acknowledged", -to_ms(one.since)))
    known = bool(incidents) or waiting_for is None
    parts = [_head(incidents if known else None, now_ms)]
    if waiting_for is not None:
        parts.append(f'<p class="notice">This may be old or incomplete: the console waits for {escape(waiting_for)}.</p>')
    elif not incidents:
        parts.append('<p class="notice calm">No incident is open.</p>')
    parts += [_article(one, now_ms) for one in worst[:SHOWN]]
    if len(worst) > SHOWN:
        parts.append(f'<p class="notice">{len(worst) - SHOWN} more are open; <code>telemetry alerts list</code> shows all.</p>')
    parts.append('<p class="about">From alerts.v1. The whole story of one: <code>telemetry alerts show KEY</code>.</p>')
    return "\n".join(parts)


def _head(incidents: Collection[OpenIncident] | None, now_ms: int) -> str:
    counts = Counter(one.severity for one in incidents or ())
    told = ", ".join(f"{counts[severity]} {severity}" for severity in _ORDER if counts[severity])
    title = "Incidents unknown" if incidents is None else f"{len(incidents)} open incident{'' if len(incidents) == 1 else 's'}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="refresh" content="{RELOAD_S}">'
        f"<style>{_STYLE}</style></head><body>"
        f"<header><h1>{title}</h1><p>{told}</p><p>as of {_time(from_ms(now_ms))}, again every {RELOAD_S} s</p></header>"
    )


def _article(one: OpenIncident, now_ms: int) -> str:
    labels = " ".join(f"<code>{escape(name)}={escape(value)}</code>" for name, value in sorted(one.labels.items()))
    key = escape(one.incident_key[:_KEY_CHARS])
    facts = [f"since {_time(one.since)} ({_age(now_ms - to_ms(one.since))})", f"last change {_time(one.at)}"]
    facts += [escape(one.owner)] if one.owner else []
    facts += [f"runbook {_link(one.runbook)}"] if one.runbook else []
    acknowledge = "" if one.state == "acknowledged" else f"<p><code>telemetry alerts ack {key} --by NAME</code></p>"
    return (
        f'<article class="{one.severity}"><h2><span class="badge">{one.severity.upper()}</span>{escape(one.rule)}'
        f'<span class="state">{_STATES.get(one.state, escape(one.state))}</span></h2>'
        f"<p>{escape(one.summary)}</p>{f'<p>{labels}</p>' if labels else ''}"
        f'<p class="about">{" · ".join(facts)} · <code>{key}</code></p>{acknowledge}</article>'
    )


def _link(runbook: str) -> str:
    text = escape(runbook)
    return f'<a href="{text}" rel="noreferrer">{text}</a>' if runbook.startswith(("https://", "http://")) else text


def _time(instant: datetime) -> str:
    text = isoformat_ms(instant)
    return f'<time datetime="{text}">{text[:10]} {text[11:19]} UTC</time>'


def _age(ms: int) -> str:
    minutes = max(0, ms) // 60_000
    days, hours = minutes // 1_440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
