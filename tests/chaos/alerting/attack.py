"""Carries strikes out, and says what happened."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.alerting.stack import Role, Stack
from tests.chaos.alerting.strikes import Kind, Strike
from tests.chaos.processes import until

#: Nobody of a role may act for the session of one that is gone, and for as long as it takes to start and to read the topics.
_ACTS_WITHIN_S: Final = 40.0
#: What does not come to the place of its order is struck wherever it is.
_OBEYS_WITHIN_S: Final = 12.0
_ASKED: Final = "asked "

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sleep:
    """`instance` stood still between these times, ms."""

    instance: str
    from_ms: int
    to_ms: int


@dataclass
class Attack:
    """`done` counts what happened; `sleeps` are those of the ones that woke up again."""

    stack: Stack
    say: Say
    done: Counter[Kind] = field(default_factory=Counter)
    at_places: Counter[str] = field(default_factory=Counter)
    sleeps: list[Sleep] = field(default_factory=list)
    _orders: dict[tuple[str, str], signal.Signals] = field(default_factory=dict)

    async def run(self, strikes: list[Strike]) -> None:
        """Return when the last one is over and whoever slept is awake."""
        self.stack.office.asked = self._asked
        began = time.monotonic()
        turns = {name: asyncio.Lock() for name in self.stack.roles}
        async with asyncio.TaskGroup() as group:
            for strike in strikes:
                await asyncio.sleep(max(0.0, began + strike.at_s - time.monotonic()))
                group.create_task(self._carry_out(strike, turns[strike.role]))

    async def _carry_out(self, strike: Strike, turn: asyncio.Lock) -> None:
        """Of one role one at a time: with both away nothing happens that could go wrong."""
        async with turn:
            role = await self._chosen(strike)
            if role is None:
                self.say(f"{strike}: nobody acts")
                return
            said = await (self._freeze if strike.asleep_s else self._kill)(role, strike)
            self.done[strike.kind] += 1
            self.say(f"{strike}: {role.instance} {said}")

    async def _chosen(self, strike: Strike) -> Role | None:
        """The one that acts, as soon as there is one, or the other one."""
        pair = self.stack.roles[strike.role]
        found: list[Role] = []

        async def look() -> bool:
            found.extend([role for role in pair if await role.acts()])
            return bool(found)

        if not await until(look, _ACTS_WITHIN_S):
            return None
        return next(role for role in pair if (role is found[0]) != strike.standby)

    async def _kill(self, role: Role, strike: Strike) -> str:
        pid = role.pid
        there = await self._ordered(role, strike, signal.SIGKILL, lambda: role.pid != pid or not role.alive())
        if role.pid == pid:
            role.send(signal.SIGKILL)
        return there

    async def _freeze(self, role: Role, strike: Strike) -> str:
        there = await self._ordered(role, strike, signal.SIGSTOP, role.frozen)
        instance, from_ms = role.instance, _now_ms()
        role.send(signal.SIGSTOP)
        await asyncio.sleep(strike.asleep_s)
        if role.instance == instance and role.alive():
            self.sleeps.append(Sleep(instance, from_ms, _now_ms()))
            role.send(signal.SIGCONT)
        return there

    async def _ordered(self, role: Role, strike: Strike, number: signal.Signals, obeyed: Callable[[], bool]) -> str:
        """Wait until it is where it was to be struck, and has been; or for so long."""
        if not strike.place:
            return "somewhere"
        if number is signal.SIGKILL:
            role.expect_kill()
        call = (role.instance, strike.place.removeprefix(_ASKED))
        if strike.place.startswith(_ASKED):
            self._orders[call] = number
        else:
            role.write_order(f"{number.name} {strike.place}")
        came = await until(obeyed, _OBEYS_WITHIN_S)
        self._orders.pop(call, None)  # the other role's stays
        role.withdraw()
        self.at_places.update([strike.place] if came else [])
        return "there" if came else "did not come to it, elsewhere"

    def _asked(self, instance: str, call: str) -> None:
        """A receiver has been asked, and has not answered yet."""
        number = self._orders.pop((instance, call), None)
        role = self.stack.by_instance(instance)
        if number is not None and role is not None:
            role.send(number)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
