"""escalation.yaml as values: by severity, who is told after which time, and in which hours. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, TypeAdapter, model_validator

from alerting.engine.document import Document, FieldError, FileModel, read_value
from alerting.engine.rule import DurationMs
from alerting.engine.schedule import BusinessHours, next_time_of_day
from schemas.alert import Alert, Severity
from schemas.escalation import PlannedStep
from schemas.timestamps import from_ms, to_ms

_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "high", "medium", "low")

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _time_of_day(value: object) -> object:
    """YAML reads an unquoted 18:00 as the number 1080."""
    if isinstance(value, time):
        return value
    try:
        return time.fromisoformat(value if isinstance(value, str) and len(value) == len("09:00") else "")
    except ValueError:
        raise ValueError('a time of the day is written in quotes, as in "09:00"') from None


def _time_zone(value: object) -> object:
    if isinstance(value, ZoneInfo):
        return value
    try:
        return ZoneInfo(str(value))
    except (ValueError, OSError, KeyError):
        raise ValueError(f"{value} is not a time zone; write it as in Europe/Paris") from None


TimeOfDay = Annotated[time, BeforeValidator(_time_of_day)]


class ChainStep(FileModel):
    """Page `targets` when nobody has acknowledged `after` the incident opened; `after` 0: with the channels of the rule."""

    after_ms: Annotated[DurationMs, Field(alias="after")]
    targets: Annotated[tuple[str, ...], Field(min_length=1)]


class SeverityPolicy(FileModel):
    """response_time: somebody is expected to have acknowledged by then; no step comes later.

    hours: `business` counts the time to the steps after the first, and to repeats, in business hours only.
    digest: everything is told once a day at this time, in one message, and is never repeated.
    """

    response_time_ms: Annotated[DurationMs, Field(alias="response_time", gt=0)]
    hours: Literal["always", "business"] = "always"
    digest: TimeOfDay | None = None
    steps: tuple[ChainStep, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> SeverityPolicy:
        afters_ms = [step.after_ms for step in self.steps]
        if sorted(set(afters_ms)) != afters_ms:
            raise FieldError("steps come in the order of their times, each time once", "steps")
        if afters_ms and afters_ms[-1] > self.response_time_ms:
            raise FieldError("the last step comes after the response time", "steps", len(afters_ms) - 1)
        if self.digest is not None and (self.hours == "business" or any(afters_ms)):
            raise FieldError("a digest comes at its time of the day: it has neither business hours nor later steps", "digest")
        return self


class _Hours(FileModel):
    days: Annotated[tuple[Weekday, ...], Field(min_length=1)]
    opens: Annotated[TimeOfDay, Field(alias="from")]
    closes: Annotated[TimeOfDay, Field(alias="to")]

    @model_validator(mode="after")
    def _fits_together(self) -> _Hours:
        if self.opens >= self.closes:
            raise FieldError("business hours end after they begin, on the same day", "to")
        return self


class EscalationPolicy(FileModel):
    """The whole of escalation.yaml."""

    timezone: Annotated[ZoneInfo, BeforeValidator(_time_zone)]
    business_hours: _Hours
    severities: dict[Severity, SeverityPolicy]

    @model_validator(mode="after")
    def _is_whole(self) -> EscalationPolicy:
        missing = [severity for severity in _SEVERITIES if severity not in self.severities]
        if missing:
            raise FieldError(f"{missing[0]} is missing: every severity has its policy", "severities")
        return self

    @property
    def targets(self) -> Mapping[Severity, tuple[str, ...]]:
        """Every receiver that a severity names, in the order of its steps."""
        return {
            severity: tuple(dict.fromkeys(target for step in policy.steps for target in step.targets))
            for severity, policy in self.severities.items()
        }

    @property
    def hours(self) -> BusinessHours:
        hours = self.business_hours
        return BusinessHours(self.timezone, frozenset(map(_WEEKDAYS.index, hours.days)), hours.opens, hours.closes)

    def plan(self, alert: Alert, now_ms: int, wait_ms: int) -> tuple[PlannedStep, ...]:
        """Every step of an incident that opens now. Step 0: the rule's channels, and whoever is told at once, after `wait_ms`."""
        policy = self.severities[alert.severity]
        at_once = [target for step in policy.steps if step.after_ms == 0 for target in step.targets]
        first_ms = now_ms + wait_ms if policy.digest is None else next_time_of_day(policy.digest, self.timezone, now_ms)
        first = PlannedStep(step=0, targets=tuple(dict.fromkeys((*alert.channels, *at_once))), due_at=from_ms(first_ms))
        later = [step for step in policy.steps if step.after_ms > 0]
        return (
            first,
            *(
                PlannedStep(step=number, targets=step.targets, due_at=from_ms(self.later(alert.severity, now_ms, step.after_ms)))
                for number, step in enumerate(later, start=1)
            ),
        )

    def later(self, severity: Severity, start_ms: int, amount_ms: int) -> int:
        """`amount_ms` after `start_ms`, in the hours of the severity."""
        if self.severities[severity].hours == "business":
            return self.hours.after(start_ms, amount_ms)
        return start_ms + amount_ms

    def resumed(self, severity: Severity, step: PlannedStep, stopped_ms: int, now_ms: int) -> PlannedStep:
        """The step with the time it had left when timers stopped; the first one does not count business hours, a digest comes daily."""
        policy, due_ms = self.severities[severity], to_ms(step.due_at)
        if policy.digest is not None:
            due_ms = next_time_of_day(policy.digest, self.timezone, now_ms)
        elif policy.hours == "business" and step.step > 0:
            due_ms = self.hours.after(now_ms, self.hours.between(stopped_ms, due_ms))
        else:
            due_ms = now_ms + max(0, due_ms - stopped_ms)
        return step.model_copy(update={"due_at": from_ms(due_ms)})


_FILE: Final = TypeAdapter(EscalationPolicy)


def parse_policy(document: Document) -> EscalationPolicy:
    """Read escalation.yaml. Raises DocumentError."""
    return read_value(document, (), _FILE, lambda path: f"{path[1]}: " if len(path) > 1 and path[0] == "severities" else "")
