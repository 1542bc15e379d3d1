"""Alert rules as values: YAML text to frozen, checked rules."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, TypeAdapter, model_validator

from alerting.engine.condition import Comparison, Condition
from alerting.engine.condition_text import MS_PER_UNIT, parse_condition
from alerting.engine.document import Document, FieldError, FileModel, Path, parse_document, read_value
from alerting.engine.quantity import LONGEST_PANE_WINDOW_MS, LONGEST_WINDOW_MS, Source
from alerting.engine.suggestion import did_you_mean
from schemas.alert import Severity
from schemas.pane import PANE_MS

_DURATION: Final = re.compile(r"(\d+)(ms|s|m|h|d)")


def duration_ms(value: Any) -> Any:
    """`30s`, `2m`, `1h`, `7d` as milliseconds; raises ValueError for any other text."""
    if not isinstance(value, str):
        raise ValueError("a duration is written with its unit, as in 30s")
    match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError(f"{value} is not a duration; write it as in 30s, 2m or 1h")
    return int(match[1]) * MS_PER_UNIT[match[2]]


DurationMs = Annotated[int, BeforeValidator(duration_ms)]


class Gates(FileModel):
    """How much evidence a verdict needs.

    min_events: fewer in the window leave a comparison unknown; min_events_of: the same for single quantities of the condition.
    min_errors, confidence: of a ratio, how many events its numerator needs, and how sure it is that the threshold is passed by more than
    chance (one-sided; 0: not asked for, as of what is counted in full instead of being a sample).
    min_expected: absence is only judged of what would have come so many times.
    """

    min_events: Annotated[int, Field(ge=1)] = 20
    min_events_of: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    min_errors: Annotated[int, Field(ge=1)] = 5
    confidence: Annotated[float, Field(ge=0, lt=1)] = 0.95
    min_expected: Annotated[float, Field(gt=0)] = 10


class Rule(FileModel):
    """`name`, `condition` and `channels` as the seed writes them.

    window: the length of every comparison without its own. by: judged for each combination of these labels, each an incident of its own.
    for: the condition is true for so long before an incident opens; keep_firing_for: and false for so long before it ends;
    no_data_after: nothing has come for so long makes an open one `no_data`.
    owner: the team it belongs to; labels: said with each of its alerts; runbook: a path in the repository, or an https link.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    condition: Annotated[Condition, BeforeValidator(lambda value: parse_condition(str(value)))]
    channels: Annotated[tuple[str, ...], Field(min_length=1)]
    severity: Severity
    owner: str = ""
    by: tuple[str, ...] = ()
    window_ms: Annotated[DurationMs, Field(alias="window")] = 60_000
    for_ms: Annotated[DurationMs, Field(alias="for")] = 0
    keep_firing_for_ms: Annotated[DurationMs, Field(alias="keep_firing_for")] = 60_000
    no_data_after_ms: Annotated[DurationMs, Field(alias="no_data_after")] = 600_000
    gates: Gates = Gates()
    labels: dict[str, str] = Field(default_factory=dict)
    runbook: str
    description: str = ""

    def __hash__(self) -> int:
        return hash(self.name)  # names are identities

    @model_validator(mode="after")
    def _fits_together(self) -> Rule:
        self._check_windows()
        self._check_labels()
        sources = {self.source_of(comparison) for comparison in self.condition.comparisons}
        if "flushes" in sources and len(sources) > 1:
            raise FieldError("flush_age is judged by the clock, and all else by events: write two rules", "condition")
        for name in self.gates.min_events_of:
            if name not in (known := [comparison.quantity.name for comparison in self.condition.comparisons]):
                raise FieldError(f"{name} is not in the condition{did_you_mean(name, known)}", "gates", "min_events_of", name)
        return self

    def _check_windows(self) -> None:
        if self.window_ms <= 0 or self.window_ms % PANE_MS or self.window_ms > LONGEST_WINDOW_MS:
            raise FieldError(f"a window is a multiple of 10s, at most {LONGEST_WINDOW_MS // 86_400_000}d", "window")
        for comparison in self.condition.comparisons:
            window_ms = self.window_ms_of(comparison)
            if window_ms > comparison.quantity.longest_window_ms:
                raise FieldError(f"{comparison.text} has a shorter window than the rule's: write it in brackets", "condition")
            if comparison.against != "threshold" and window_ms > LONGEST_PANE_WINDOW_MS:
                raise FieldError(f"{comparison.text} is judged by the hour: its window is at most 1h", "condition")

    def _check_labels(self) -> None:
        for index, label in enumerate(self.by):
            for quantity in (comparison.quantity for comparison in self.condition.comparisons):
                if label not in quantity.labels:
                    suggestion = did_you_mean(label, quantity.labels)
                    raise FieldError(f"{quantity.name} has no label {label} to judge by{suggestion}", "by", index)

    @property
    def watches_pipeline(self) -> bool:
        """Judged by the clock on the age of flushes, instead of on windows."""
        return self.condition.comparisons[0].quantity.source == "flushes"

    def min_events_for(self, comparison: Comparison) -> int:
        """How many events the comparison needs in its window."""
        return self.gates.min_events_of.get(comparison.quantity.name, self.gates.min_events)

    def window_ms_of(self, comparison: Comparison) -> int:
        """The length of its window: its own, or the rule's; 0 for a quantity that has none."""
        return (comparison.window_ms or self.window_ms) if comparison.quantity.longest_window_ms else 0

    def source_of(self, comparison: Comparison) -> Source:
        """Where its value comes from: what panes know is read from the warehouse where the window is longer than an hour."""
        return "warehouse" if self.window_ms_of(comparison) > LONGEST_PANE_WINDOW_MS else comparison.quantity.source

    @property
    def longest_window_ms(self) -> int:
        """Of the comparisons that are judged on panes; 0 when none is."""
        return max((self.window_ms_of(c) for c in self.condition.comparisons if self.source_of(c) == "panes"), default=0)


class _RuleFile(FileModel):
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]


_FILE: Final = TypeAdapter(_RuleFile)


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Read one rule file. Raises DocumentError."""
    return rules_of(parse_document(text))


def rules_of(document: Document) -> tuple[Rule, ...]:
    """The rules of a file: a mapping with the list `rules`. Raises DocumentError."""
    return read_value(document, (), _FILE, lambda path: subject_of(document, path)).rules


def subject_of(document: Document, path: Path) -> str:
    """`rule NAME: ` for what lies in a rule, else ''."""
    if len(path) < 2 or path[0] != "rules" or not isinstance(path[1], int):
        return ""
    rule = document.value["rules"][path[1]]
    name = rule.get("name") if isinstance(rule, dict) else None
    return f"rule {name}: " if isinstance(name, str) else f"rule number {path[1] + 1}: "
