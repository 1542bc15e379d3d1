"""`groups` and `inhibit` of routes.yaml as values: what is told of together, and what is not told while something else is open. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from alerting.engine.policy import one_line
from alerting.engine.rule import DurationMs, RuleError
from schemas.alert import Alert, Severity

_FROZEN: Final = ConfigDict(frozen=True, extra="forbid")


class GroupTimes(BaseModel):
    """wait: before a group is first told of; interval: before the same receiver is told of its newer incidents."""

    model_config = _FROZEN

    wait_ms: Annotated[DurationMs, Field(alias="wait")]
    interval_ms: Annotated[DurationMs, Field(alias="interval")]


class Groups(BaseModel):
    """Open incidents of one severity with the same `by` are one group: `rule`, or a label's name. `repeat`: what nobody acknowledges is told again.

    severities: those with other times.
    """

    model_config = _FROZEN

    by: tuple[str, ...] = ("rule",)
    wait_ms: Annotated[DurationMs, Field(alias="wait")]
    interval_ms: Annotated[DurationMs, Field(alias="interval")]
    repeat_ms: Annotated[DurationMs, Field(alias="repeat", gt=0)]
    severities: dict[Severity, GroupTimes] = {}

    def wait_of(self, severity: Severity) -> int:
        own = self.severities.get(severity)
        return self.wait_ms if own is None else own.wait_ms

    def interval_of(self, severity: Severity) -> int:
        own = self.severities.get(severity)
        return self.interval_ms if own is None else own.interval_ms


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Matcher = dict[str, Annotated[tuple[str, ...], BeforeValidator(_one_or_many), Field(min_length=1)]]


class Inhibition(BaseModel):
    """While an incident matches `source`, those that match `target` and have equal values of the labels in `equal` page nobody.

    A matcher maps `rule`, `severity` or a label to the value, or the values, it may have.
    """

    model_config = _FROZEN

    source: Annotated[Matcher, Field(min_length=1)]
    target: Annotated[Matcher, Field(min_length=1)]
    equal: tuple[str, ...] = ()


class Routing(BaseModel):
    """What routes.yaml says beside its receivers."""

    model_config = _FROZEN

    groups: Groups
    inhibit: tuple[Inhibition, ...] = ()

    @property
    def rule_names(self) -> frozenset[str]:
        """Every rule that an inhibition names."""
        matchers = [matcher for inhibition in self.inhibit for matcher in (inhibition.source, inhibition.target)]
        return frozenset(name for matcher in matchers for name in matcher.get("rule", ()))


def parse_routing(document: object) -> Routing:
    """Read `groups` and `inhibit` of the document routes.yaml; its other keys are not looked at. Raises RuleError."""
    if not isinstance(document, Mapping):
        raise RuleError("routes.yaml is a mapping")
    try:
        return Routing.model_validate({key: document[key] for key in ("groups", "inhibit") if key in document})
    except ValidationError as error:
        raise RuleError(one_line(error)) from None


def value_of(alert: Alert, name: str) -> str:
    """What `by`, `equal` and matchers compare; '' for a label that the alert does not have."""
    if name == "rule":
        return alert.rule
    return alert.severity if name == "severity" else alert.labels.get(name, "")


def matches(matcher: Matcher, alert: Alert) -> bool:
    return all(value_of(alert, name) in values for name, values in matcher.items())
