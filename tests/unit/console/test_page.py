from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from pipeline.console.incidents import OpenIncident
from pipeline.console.page import HEADERS, SHOWN, page
from schemas.timestamps import from_ms

NOW_MS = 1_795_600_000_000
ONE = OpenIncident(
    incident_key="ab" * 32,
    rule="Menu Generation Critical",
    severity="critical",
    state="firing",
    since=from_ms(NOW_MS - 125_000),
    at=from_ms(NOW_MS - 120_000),
    summary="Menu Generation Critical: error_rate is 12 % (12 of 100), more than 5 %",
    labels={"provider": "ollama"},
    owner="menu team",
    runbook="https://runbooks.test/menu-generation?a=1&b=2",
)


class Reader(HTMLParser):
    """What a browser would make of it: tags with their attributes, and the text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def shown(*incidents: OpenIncident, waiting_for: str | None = None) -> Reader:
    return Reader(page(incidents, waiting_for, NOW_MS))


def other(**fields: Any) -> OpenIncident:
    return replace(ONE, **fields)


def test_an_incident_is_shown_with_what_to_do() -> None:
    """Rule, severity, state, since when and how long, summary, series, owner, a link to the runbook, and the line to type."""
    found = shown(ONE)
    for words in ("1 open incident", "CRITICAL", ONE.rule, "firing", "(2 min)", ONE.summary, "provider=ollama", "menu team"):
        assert words in found.text
    assert "telemetry alerts ack abababababab --by NAME" in found.text
    assert [link["href"] for link in found.of("a")] == [ONE.runbook]


def test_nothing_open_is_said() -> None:
    """But only when that is known: while the console waits it says so, and what it knows may be old."""
    assert "No incident is open." in shown().text
    waiting = shown(waiting_for="Kafka <down>").text
    assert "No incident is open." not in waiting
    assert "0 open" not in waiting
    assert "1 open incident" in shown(ONE, waiting_for="Kafka").text
    assert "the console waits for Kafka <down>" in waiting


def test_the_worst_come_first() -> None:
    """By severity; then what nobody works on; then the newest."""
    newer, older = other(rule="rule-newer", since=from_ms(NOW_MS - 1)), other(rule="rule-older", since=from_ms(NOW_MS - 9))
    acked = other(rule="rule-acked", state="acknowledged", since=from_ms(NOW_MS))
    low = other(rule="rule-low", severity="low", since=from_ms(NOW_MS))
    text = shown(low, older, acked, newer).text
    assert re.findall("rule-(newer|older|acked|low)", text) == ["newer", "older", "acked", "low"]
    assert "4 open incidents" in text
    assert "3 critical, 1 low" in text


def test_only_so_many_are_shown_and_the_rest_counted() -> None:
    """Ten thousand would be no page."""
    found = shown(*[other(incident_key=f"{number:064x}") for number in range(SHOWN + 7)])
    assert len(found.of("article")) == SHOWN
    assert "7 more are open" in found.text


def test_what_is_acknowledged_needs_no_acknowledgement() -> None:
    """Nor is an empty owner, runbook or series shown."""
    found = shown(other(state="acknowledged", owner="", runbook="", labels={}))
    assert "acknowledged" in found.text
    assert "alerts ack" not in found.text
    assert "runbook" not in found.text


def test_text_from_events_stays_text() -> None:
    """Tags, quotes and script links in any field are shown as they are, and are no tag and no link."""
    evil = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;"
    harmless = shown(other(rule="r", summary="s", labels={"a": "b"}, owner="o", runbook="b"))
    found = shown(other(rule=evil, summary=evil, labels={evil: evil}, owner=evil, runbook="javascript:alert(1)//" + evil))
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in harmless.tags]
    assert found.of("a") == []
    assert found.text.count(evil) == 6
    link = shown(other(runbook='https://x.test/"><script>alert(1)</script>'))
    assert (len(link.of("a")), link.of("script")) == (1, [])


def test_the_page_may_load_and_run_nothing_but_its_style() -> None:
    """The policy names the style by its hash, and the page has no other source of anything."""
    document = page([ONE], None, NOW_MS)
    style = re.search(r"<style>(.*?)</style>", document, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert {tag for tag, attributes in Reader(document).tags if {"src", "style", "onclick"} & attributes.keys()} == set()


def test_ages_are_read_at_a_glance() -> None:
    """Minutes, hours, days; a clock that is behind shows zero."""
    for ms, words in ((-5_000, "(0 min)"), (59 * 60_000, "(59 min)"), (61 * 60_000, "(1 h 1 min)"), (50 * 3_600_000, "(2 d 2 h)")):
        assert words in shown(other(since=from_ms(NOW_MS - ms))).text
