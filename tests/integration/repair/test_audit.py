"""What goes wrong while an hour is open is right once the hour has closed, and is counted by its cause. The tests build on each other:
first everything happens, then time goes on."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from tests.integration.repair.conftest import HOUR_MS, Past, of_session, user_of_each_partition
from tests.integration.repair.recomputed import from_events, from_panes, menus
from tests.integration.worker.stack import menu, ready
from tests.waiting import wait_until

USERS = user_of_each_partition()
SESSIONS = user_of_each_partition("s")
WINDOW_OFFSETS = 200_000

pytestmark = pytest.mark.timeout(400)


def agree(past: Past, provider: str, count: int) -> bool:
    """Whether events and panes say the same, and that is `count` menus."""
    right = from_events(past.stack, provider)
    return sum(n for n, _ in right.values()) == count and from_panes(past.stack, provider) == right


async def counted(past: Past, provider: str, panes: int) -> None:
    """Wait for the number of menus in panes, right or wrong."""
    wait_until(lambda: menus(past.stack, provider)[0] == panes, 60, f"{panes} menus of {provider} in panes")


async def make_trouble(past: Past) -> None:
    """Everything that may go wrong with an hour that is open."""
    at = past.hour_ms + 600_000
    twice = [of_session(menu("elsewhere", at + i * 1000, "", "failed"), SESSIONS[1]) for i in range(5)]
    await past.send(twice, SESSIONS[1], 1)
    await counted(past, "elsewhere", 5)
    await past.send([event | {"session_id": SESSIONS[7]} for event in twice[:3]], SESSIONS[7], 7)
    await counted(past, "elsewhere", 8)

    moved = [menu("moved", at + i * 1000, USERS[2]) for i in range(4)]
    await past.send(moved, USERS[2], 9, headers=[("moved_from", b"2")])
    await counted(past, "moved", 4)
    await past.send(moved, USERS[2], 2)
    await counted(past, "moved", 8)

    await past.stack.send(menu("removed", at + i * 1000, USERS[3]) for i in range(6))
    await past.stack.send(menu("erased", at + i * 1000, USERS[4]) for i in range(6))
    await counted(past, "removed", 6)
    await counted(past, "erased", 6)
    past.stack.query("DELETE FROM panes_raw WHERE labels['provider'] = 'removed'")
    past.stack.query("DELETE FROM events_raw WHERE JSONExtractString(properties, 'provider') = 'erased' AND kafka_offset % 2 = 0")


async def repeat_beyond_the_window(past: Past) -> None:
    """The same menus twice in one partition, with more records between them than a worker remembers."""
    old = [menu("beyond", past.hour_ms + 1_200_000 + i * 1000, USERS[5]) for i in range(3)]
    await past.send(old, USERS[5], 5)
    view = menu("beyond", past.hour_ms + 1_300_000, USERS[5]) | {"event_type": "recipe_view", "properties": {"recipe_id": "r"}}
    await past.send((view | {"event_id": str(uuid.UUID(int=i + 1))} for i in range(WINDOW_OFFSETS)), USERS[5], 5)
    await past.send(old, USERS[5], 5)
    wait_until(lambda: menus(past.stack, "beyond")[0] == 6, 120, "the old repeats are counted")


@pytest.fixture(scope="module")
def closed(past: Past) -> Past:
    """The hour has closed and was audited in every partition."""
    asyncio.run(make_trouble(past))
    asyncio.run(repeat_beyond_the_window(past))
    assert max(past.audited_to().values()) <= past.hour_ms
    asyncio.run(past.close_hour())
    audited = dict.fromkeys(range(12), past.hour_ms + HOUR_MS)
    wait_until(lambda: past.audited_to() == audited, 60, "the hour is audited in every partition, as far as two hours later")
    return past


@pytest.mark.parametrize(
    ("provider", "right", "cause"),
    [
        ("elsewhere", 5, "repeat_elsewhere"),
        ("moved", 4, "repeat_elsewhere"),
        ("beyond", 3, "repeat"),
        ("removed", 6, "missing"),
    ],
)
def test_a_closed_hour_says_what_its_events_say(closed: Past, provider: str, right: int, cause: str) -> None:
    """A repeat on another partition, a user moved between partitions, a repeat that the worker had forgotten the first copy of, a row
    removed by hand: panes are those of the events again."""
    assert agree(closed, provider, right)
    assert closed.worker.metric("nutricoach_worker_repairs_total", f'cause="{cause}"') > 0


def test_an_event_that_was_erased_is_counted_no_more(closed: Past) -> None:
    """Panes lose the events that somebody removed from events_raw."""
    erased = 6 - closed.stored("erased")
    assert 0 < erased < 6
    assert agree(closed, "erased", 6 - erased)
    assert closed.worker.metric("nutricoach_worker_repairs_total", 'cause="extra"') > 0


def test_late_events_are_counted_by_that_name(closed: Past) -> None:
    """Events of the closed hour and of three days before it, and repeats of those that count elsewhere: right within a minute."""
    before = closed.worker.metric("nutricoach_worker_repairs_total", 'cause="late"')
    late = [of_session(menu("late", closed.hour_ms - days * 24 * HOUR_MS + i * 1000, ""), SESSIONS[6]) for i in range(4) for days in (0, 3)]
    asyncio.run(closed.send(late, SESSIONS[6], 6))
    wait_until(lambda: agree(closed, "late", 8), 60, "late events are in the panes")
    asyncio.run(closed.send([event | {"session_id": SESSIONS[8]} for event in [*late, *late]], SESSIONS[8], 8))
    open_marks = (
        "SELECT count() FROM (SELECT 1 FROM stale_hours GROUP BY kafka_partition, hour HAVING max(marked_offset) > max(cleared_offset))"
    )
    is_marked = "SELECT max(marked_offset) FROM stale_hours WHERE kafka_partition = 8"
    wait_until(lambda: closed.stack.one(is_marked) > 0 and closed.stack.one(open_marks) == 0, 60, "the repeats were looked into")
    assert agree(closed, "late", 8)
    assert closed.worker.metric("nutricoach_worker_repairs_total", 'cause="late"') == before + 2


def test_the_next_owner_goes_on_where_the_audit_stopped(closed: Past) -> None:
    """After a kill the hours that were audited are not audited again, and those that were not are."""
    closed.worker.kill()
    closed.stack.query("DELETE FROM panes_raw WHERE labels['provider'] IN ('elsewhere', 'closer')")
    asyncio.run(closed.close_hour(6 * HOUR_MS))
    heir = closed.stack.start_worker()
    wait_until(lambda: ready(heir), 60, "the next worker is ready")
    wait_until(lambda: set(closed.audited_to().values()) == {closed.hour_ms + 5 * HOUR_MS}, 60, "the audit goes on")
    assert menus(closed.stack, "elsewhere") == (0, 5)
    assert agree(closed, "closer", 24)
