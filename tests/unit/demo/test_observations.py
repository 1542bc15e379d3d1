from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.demo.observations import Observations
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.errors import Stop
from schemas.alert import parse_alert
from schemas.timestamps import to_ms
from schemas.topics import ALERTS, PANES
from tests.unit.demo.examples import FIRING
from tests.unit.demo.flushes import flush, pane

AT_MS = to_ms(parse_alert(FIRING).at)


def record(topic: str, value: bytes) -> Any:
    return SimpleNamespace(topic=topic, value=value)


def test_the_first_record_of_each_transition_is_kept() -> None:
    """alerts.v1 is at-least-once: a repeat of a transition is the same transition."""
    observations = Observations(AT_MS, SystemClock())
    for _ in range(2):
        observations.read(record(ALERTS.name, FIRING))
    assert [alert.state for _, alert in observations.alerts] == ["firing"]


def test_incidents_from_before_are_left_out() -> None:
    """A data directory may have seen incidents already."""
    observations = Observations(AT_MS + 1, SystemClock())
    observations.read(record(ALERTS.name, FIRING))
    assert observations.alerts == []


def test_what_cannot_be_read_is_skipped() -> None:
    """Anyone may write to a topic."""
    observations = Observations(0, SystemClock())
    for value in (b"", b"nonsense", b"{}"):
        observations.read(record(PANES.name, value))
    observations.read(record(PANES.name, flush(0, pane(3, 2)).model_dump_json().encode()))
    assert observations.board.metric("menu_generation", 0)[0].count == 3


async def test_what_does_not_happen_is_named() -> None:
    """After the time that was given, with what was waited for."""
    with pytest.raises(Stop, match=r"^not observed: the alert \(waited 0 s\)$"):
        await Observations(0, SystemClock()).until("the alert", lambda: None, 0.05)


async def test_what_has_happened_is_not_waited_for() -> None:
    """Nor is there need of news."""
    assert await asyncio.wait_for(Observations(0, SystemClock()).until("the alert", lambda: 7, 5), 1) == 7
