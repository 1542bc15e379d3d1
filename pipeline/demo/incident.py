"""The incident, step by step: what is done to the menu service, and what must then be seen. Nothing is taken for granted."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, TypeVar

from pipeline.demo import commands
from pipeline.demo.menu_service import MenuOutcome, Templates
from pipeline.demo.observations import Observations, not_observed
from pipeline.demo.receivers import Notice
from pipeline.demo.screen import Screen
from pipeline.demo.stage import Stack, WatchedRule
from pipeline.runtime.clock import Clock
from schemas.alert import Alert, AlertState
from schemas.delivery import Delivery, DeliveryAction
from schemas.escalation import Escalation, EscalationEvent, PlannedStep
from schemas.pane import PANE_MS
from schemas.timestamps import to_ms

T = TypeVar("T")

#: What is normal must be seen first: so many menus, which is some eight seconds of them.
NORMAL_MENUS: Final = 60
BY: Final = "demo"

_NORMAL_WITHIN_S: Final = 60.0
_FIRES_WITHIN_S: Final = 45.0
_TOLD_WITHIN_S: Final = 30.0
_ALLOWANCE_S: Final = 45.0
_TOLD: Final[dict[DeliveryAction, str]] = {
    "trigger": "is paged",
    "acknowledge": "is told of the acknowledgement",
    "resolve": "is told of the resolution",
}


class Incident:
    """Staged by `play`; `timeline` is what was seen and when, `alerts` are the transitions of the alert.

    stand_ins: receivers whose stand-ins say what arrived; of the others only `deliveries.v1` says that it was delivered.
    """

    def __init__(
        self,
        stack: Stack,
        rule: WatchedRule,
        observations: Observations,
        templates: Templates,
        stand_ins: Collection[str],
        screen: Screen,
        clock: Clock,
    ) -> None:
        self.timeline: list[tuple[str, int]] = []
        self.alerts: list[Alert] = []
        self._stack, self._rule, self._observations, self._templates = stack, rule, observations, templates
        self._stand_ins, self._screen, self._clock = stand_ins, screen, clock
        self._first: dict[bool, int] = {}
        self._shown: set[str] = set()

    def on_sending(self, outcome: MenuOutcome, at_ms: int) -> None:
        """Told by the menu service of every menu, before it is sent."""
        self._first.setdefault(outcome == "failed", at_ms)

    def on_notice(self, notice: Notice) -> None:
        """Told by the stand-ins; the first page of each kind is shown whole."""
        self._observations.notice(notice)
        self._screen.page(notice, whole=notice.kind not in self._shown)
        self._shown.add(notice.kind)

    def note(self, text: str) -> None:
        """Something was seen, now."""
        self._seen(text, self._clock.now_ms())

    async def play(self) -> None:
        """From normal to normal again. Raises Stop with the step that was not observed."""
        await self._normal()
        firing = await self._outage()
        paged = await self._escalation(firing)
        await self._acknowledgement(firing, paged)
        await self._recovery(firing, paged)

    async def _normal(self) -> None:
        def quiet() -> str | None:
            since_ms = self._observations.since_ms
            menus, failed = self._observations.board.metric("menu_generation", since_ms - since_ms % PANE_MS)
            views, _ = self._observations.board.metric("recipe_interaction", 0)
            return f"{menus.count} menus, {failed} failed" if menus.count >= NORMAL_MENUS and views.count and not failed else None

        counted = await self._until(f"{NORMAL_MENUS} menus and some item rows on panes.v1, nothing failed", quiet, _NORMAL_WITHIN_S)
        if (early := self._alert("firing")) is not None:
            raise not_observed(f"quiet before the incident: {early[1].summary}")
        self.note(f"normal: the templates answer every request (degraded); on panes.v1 are {counted}")

    async def _outage(self) -> Alert:
        self._screen.heading("The incident: the file with the templates is taken away, so nothing is left that could answer")
        self._screen.say(
            f"Rule “{self._rule.name}”: {self._rule.condition}, over the last {self._rule.window_ms // 1000} s,"
            f" judged on at least {self._rule.min_events} menus."
        )
        self._first.clear()
        self._templates.take_away()
        began_ms = await self._until("the first failed menu", lambda: self._first.get(True), _TOLD_WITHIN_S)
        self._screen.origin_ms = began_ms
        self._seen("first failed menu is sent", began_ms)
        seen_ms, firing = await self._until("the alert on alerts.v1", lambda: self._alert("firing"), _FIRES_WITHIN_S)
        if to_ms(firing.at) < began_ms:
            raise not_observed("an alert that fires after the first failed menu, not before it")
        self.alerts.append(firing)
        self._seen(f"the alert fires on alerts.v1: {firing.reason}", seen_ms)
        return firing

    async def _escalation(self, firing: Alert) -> list[str]:
        _, opened = await self._until(
            "the escalation on escalations.v1", lambda: self._event("opened", firing.incident_key), _TOLD_WITHIN_S
        )
        first, step = _steps(opened)
        for receiver in first.targets:
            await self._told(receiver, "trigger", firing)
        wait_s = (to_ms(step.due_at) - to_ms(opened.at)) / 1000
        self._screen.heading(f"Nobody acknowledges: after {wait_s:.0f} s the escalation goes on to {', '.join(step.targets)}")
        for receiver in step.targets:
            await self._told(receiver, "trigger", firing, within_s=wait_s + _ALLOWANCE_S)
        return [*first.targets, *(target for target in step.targets if target not in first.targets)]

    async def _acknowledgement(self, firing: Alert, paged: list[str]) -> None:
        arguments = ["alerts", "ack", firing.incident_key[:12], "--by", BY]
        self._screen.heading("Somebody takes it: telemetry " + " ".join(arguments))
        code, said, complaint = await commands.run(arguments, self._stack.data_dir)
        if code != 0:
            raise not_observed(f"the acknowledgement: `telemetry {' '.join(arguments)}` ended with {code}: {complaint or said}")
        acked_ms, acked = await self._until(
            "the acknowledgement on escalations.v1", lambda: self._event("acked", firing.incident_key), _TOLD_WITHIN_S
        )
        self._seen(f"{acked.reason}: the escalation stops, everybody who was paged is told", acked_ms)
        for receiver in paged:
            await self._told(receiver, "acknowledge", firing)

    async def _recovery(self, firing: Alert, paged: list[str]) -> None:
        window_s, quiet_s = self._rule.window_ms // 1000, self._rule.keep_firing_for_ms // 1000
        self._screen.heading("The repair: the file with the templates is put back")
        self._first.clear()
        self._templates.put_back()
        answered_ms = await self._until("a menu that does not fail", lambda: self._first.get(False), _TOLD_WITHIN_S)
        self._seen("menus are answered again", answered_ms)
        self._screen.say(
            f"The failed menus stay in the window for {window_s} s; then the condition must be false for {quiet_s} s more."
            " Nothing else ends the incident."
        )
        within_s = window_s + quiet_s + PANE_MS / 1000 + _ALLOWANCE_S
        seen_ms, resolved = await self._until("the resolution on alerts.v1", lambda: self._alert("resolved", firing.incident_key), within_s)
        self.alerts.append(resolved)
        self._seen(f"the alert is resolved on alerts.v1: {resolved.reason}", seen_ms)
        for receiver in paged:
            await self._told(receiver, "resolve", firing)

    async def _told(self, receiver: str, action: DeliveryAction, alert: Alert, within_s: float = _TOLD_WITHIN_S) -> None:
        def arrived() -> int | None:
            if receiver in self._stand_ins:
                return next((notice.at_ms for notice in self._observations.notices if _is(notice, receiver, action, alert)), None)
            return next((at_ms for at_ms, delivery in self._observations.deliveries if _says(delivery, receiver, action, alert)), None)

        words = f"{receiver} {_TOLD[action]}"
        at_ms = await self._until(words, arrived, within_s)
        self.timeline.append((words, at_ms))
        if receiver not in self._stand_ins:  # else the notification itself is on the screen
            self._screen.event(f"{words}, says deliveries.v1", at_ms)

    def _alert(self, state: AlertState, incident_key: str | None = None) -> tuple[int, Alert] | None:
        for seen_ms, alert in self._observations.alerts:
            if alert.rule == self._rule.name and alert.state == state and incident_key in (None, alert.incident_key):
                return seen_ms, alert
        return None

    def _event(self, event: EscalationEvent, incident_key: str) -> tuple[int, Escalation] | None:
        for seen_ms, escalation in self._observations.escalations:
            if escalation.event == event and escalation.incident_key == incident_key:
                return seen_ms, escalation
        return None

    def _seen(self, text: str, at_ms: int) -> None:
        self.timeline.append((text, at_ms))
        self._screen.event(text, at_ms, "bold")

    async def _until(self, what: str, seen: Callable[[], T | None], within_s: float) -> T:
        return await self._observations.until(what, seen, within_s)


def _is(notice: Notice, receiver: str, action: DeliveryAction, alert: Alert) -> bool:
    return (notice.receiver, notice.action) == (receiver, action) and notice.concerns(alert.rule, alert.incident_key)


def _says(delivery: Delivery, receiver: str, action: DeliveryAction, alert: Alert) -> bool:
    found = (delivery.receiver, delivery.action, delivery.incident_key, delivery.outcome)
    return found == (receiver, action, alert.incident_key, "delivered")


def _steps(opened: Escalation) -> tuple[PlannedStep, PlannedStep]:
    """Step 0, at once, and the one after it, if nobody acknowledges."""
    steps = sorted(opened.plan, key=lambda step: step.step)
    if len(steps) < 2:
        raise not_observed(f"a step after the first one in the escalation of severity {opened.severity}")
    return steps[0], steps[1]
