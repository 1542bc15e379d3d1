from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field
from typing import Any, cast

from tests.chaos.alerting.attack import Attack
from tests.chaos.alerting.strikes import Kind, Strike
from tests.chaos.processes import until


@dataclass
class _Role:
    """One that acts; an order on a side of a topic is obeyed at once, and a signal is death."""

    name: str
    pid: int = 1
    dead: bool = False
    sent: list[signal.Signals] = field(default_factory=list)

    @property
    def instance(self) -> str:
        return f"{self.name}.1"

    async def acts(self) -> bool:
        return True

    def alive(self) -> bool:
        return not self.dead

    def expect_kill(self) -> None:
        pass

    def write_order(self, _: str) -> None:
        self.dead = True

    def withdraw(self) -> None:
        pass

    def send(self, number: signal.Signals) -> None:
        self.sent.append(number)
        self.dead = True


class _Stack:
    def __init__(self) -> None:
        self.alerter, self.notifier = _Role("alerter-0"), _Role("notifier-0")
        self.roles = {"alerter": [self.alerter], "notifier": [self.notifier]}
        self.office = type("Office", (), {"asked": None})()

    def by_instance(self, instance: str) -> _Role | None:
        return next((role for role in (self.alerter, self.notifier) if role.instance == instance), None)


async def test_an_order_outlives_that_of_the_other_role() -> None:
    """The alerter is struck where it was told to while the notifier has not come to its call: that one is still struck there."""
    stack = _Stack()
    attack = Attack(cast(Any, stack), lambda _: None)
    strikes = [
        Strike(0.0, Kind.KILL_AT, "notifier", place="asked chat.update"),
        Strike(0.2, Kind.KILL_AT, "alerter", place="before alerts.v1"),
    ]
    running = asyncio.create_task(attack.run(strikes))
    assert await until(lambda: attack.done.total() == 1, 5)
    assert not stack.notifier.dead
    stack.office.asked(stack.notifier.instance, "chat.update")
    assert stack.notifier.sent == [signal.SIGKILL]
    await running
    assert attack.at_places == {"asked chat.update": 1, "before alerts.v1": 1}
