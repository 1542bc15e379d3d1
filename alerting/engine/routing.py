"""`groups` and `inhibit` of routes.yaml as values: what is told of together, and what is not told while something else is open. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, TypeAdapter

from alerting.engine.document import Document, FileModel, read_value
from alerting.engine.rule import DurationMs
from schemas.alert import Alert, Severity


class GroupTimes(FileModel):
    """wait: before a group is first told of; interval: before the same receiver is told of its newer incidents."""

    wait_ms: Annotated[DurationMs, Field(alias="wait")]
    interval_ms: Annotated[DurationMs, Field(alias="interval")]


class Groups(FileModel):
    """Open incidents of one severity with the same `by` are one group: `rule`, or a label's name.

    repeat: what nobody has acknowledged is told again after it; severities: those with other times.
    """

    by: tuple[str, ...] = ("rule",)
    wait_ms: Annotated[DurationMs, Field(alias="wait")]
    interval_ms: Annotated[DurationMs, Field(alias="interval")]
    repeat_ms: Annotated[DurationMs, Field(alias="repeat", gt=0)]
    severities: dict[Severity, GroupTimes] = Field(default={})

    def wait_of(self, severity: Severity) -> int:
        own = self.severities.get(severity)
        return self.wait_ms if own is None else own.wait_ms

    def interval_of(self, severity: Severity) -> int:
        own = self.severities.get(severity)
        return self.interval_ms if own is None else own.interval_ms


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Matcher = dict[str, Annotated[tuple[str, ...], BeforeValidator(_one_or_many), Field(min_length=1)]]


class Inhibition(FileModel):
    """While an incident matches `source`, those that match `target` and have equal values of the labels in `equal` page nobody.

    A matcher maps `rule`, `severity` or a label to the value, or the values, it may have.
    """

    source: Annotated[Matcher, Field(min_length=1)]
    target: Annotated[Matcher, Field(min_length=1)]
    equal: tuple[str, ...] = ()


class Routing(FileModel):
    """What routes.yaml says beside its receivers."""

    groups: Groups
    inhibit: tuple[Inhibition, ...] = ()

    @property
    def rule_names(self) -> frozenset[str]:
        """Every rule that an inhibition names."""
        matchers = [matcher for inhibition in self.inhibit for matcher in (inhibition.source, inhibition.target)]
        return frozenset(name for matcher in matchers for name in matcher.get("rule", ()))


_GROUPS: Final = TypeAdapter(Groups)
_INHIBIT: Final = TypeAdapter(tuple[Inhibition, ...] | None)


def parse_routing(document: Document) -> Routing:
    """Read `groups` and `inhibit` of routes.yaml; its other keys are not looked at. Raises DocumentError."""
    return Routing(groups=read_value(document, ("groups",), _GROUPS), inhibit=read_value(document, ("inhibit",), _INHIBIT) or ())


def value_of(alert: Alert, name: str) -> str:
    """What `by`, `equal` and matchers compare; '' for a label that the alert does not have."""
    if name == "rule":
        return alert.rule
    return alert.severity if name == "severity" else alert.labels.get(name, "")


def matches(matcher: Matcher, alert: Alert) -> bool:
    return all(value_of(alert, name) in values for name, values in matcher.items())
