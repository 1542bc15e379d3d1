"""Alert rules as values: YAML text to frozen, checked rules."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from alerting.engine.condition import Condition, parse_condition
from schemas.alert import Severity
from schemas.pane import PANE_MS

_DURATION: Final = re.compile(r"(\d+)(ms|s|m|h|d)")
_MS_PER_UNIT: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class RuleError(ValueError):
    """A rule file is wrong; `str()` is one line that names the rule and the field."""


def duration_ms(value: Any) -> Any:
    """`30s`, `2m`, `1h` as milliseconds; raises ValueError for any other text."""
    if not isinstance(value, str):
        raise ValueError("a duration is written with its unit, as in 30s")
    match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError(f"{value} is not a duration; write it as in 30s, 2m or 1h")
    return int(match[1]) * _MS_PER_UNIT[match[2]]


DurationMs = Annotated[int, BeforeValidator(duration_ms)]


class Rule(BaseModel):
    """`name`, `condition` and `channels` as the seed writes them.

    window: the length of every comparison without its own; min_events: fewer in the window leave the verdict unknown.
    keep_firing_for: an incident ends when its condition has been false for so long; one window when not given.
    runbook: a path in the repository or an https link.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    condition: Annotated[Condition, BeforeValidator(lambda value: parse_condition(str(value)))]
    channels: Annotated[tuple[str, ...], Field(min_length=1)]
    severity: Severity
    window_ms: Annotated[DurationMs, Field(alias="window")] = 60_000
    min_events: Annotated[int, Field(ge=1)] = 20
    keep_firing_for_ms: Annotated[DurationMs, Field(alias="keep_firing_for")] = 60_000
    runbook: str

    @model_validator(mode="after")
    def _fits_together(self) -> Rule:
        if self.window_ms <= 0 or self.window_ms % PANE_MS:
            raise ValueError("window is a multiple of 10s")
        if len({comparison.quantity.metric is None for comparison in self.condition.comparisons}) > 1:
            raise ValueError("condition mixes flush_age with quantities that have a window; write two rules")
        return self

    @property
    def watches_pipeline(self) -> bool:
        """Judged by the clock on the age of flushes, instead of at every flush on a window of panes."""
        return self.condition.comparisons[0].quantity.metric is None

    @property
    def longest_window_ms(self) -> int:
        return max(comparison.window_ms or self.window_ms for comparison in self.condition.comparisons)


class _RuleFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...]


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Read one rule file: a mapping with the list `rules`. Raises RuleError."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RuleError(f"not YAML: {' '.join(str(error).split())}") from None
    try:
        return _RuleFile.model_validate(document).rules
    except ValidationError as error:
        raise RuleError(_one_line(document, error)) from None


def _one_line(document: Any, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = [str(part) for part in first["loc"]]
    if len(first["loc"]) > 1 and isinstance(first["loc"][1], int):
        rule = document["rules"][first["loc"][1]]
        name = rule.get("name", f"number {first['loc'][1] + 1}") if isinstance(rule, dict) else f"number {first['loc'][1] + 1}"
        where = [f"rule {name}", *where[2:]]
    return f"{', '.join(where) or 'rule file'}: {first['msg'].removeprefix('Value error, ')}"
