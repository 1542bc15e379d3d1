"""Views made from the schemas: `events`, one view per event type, and the table of metrics that the other views read."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple, NotRequired, Union, get_args, get_origin

from typing_extensions import get_type_hints

from schemas.event import EVENT_TYPES
from schemas.metrics import METRICS, Metric
from schemas.web_vitals import THRESHOLDS

_FRESH: Final = "Fresh within a second."


class Column(NamedTuple):
    """A column of a view: its ClickHouse type, what it is, and the expression it is made by where that is not its name."""

    name: str
    type: str
    comment: str
    expression: str = ""

    @property
    def declaration(self) -> str:
        return f"    {self.name} {self.type} COMMENT {_quoted(self.comment)}"

    @property
    def selection(self) -> str:
        return f"    {self.expression} AS {self.name}" if self.expression else f"    {self.name}"


_INSTANT: Final = "DateTime64(3, 'UTC')"
_BEFORE: Final = (
    Column("event_id", "UUID", "Given by the sender or by the gateway; each id is here once, its first copy"),
    Column("event_type", "LowCardinality(String)", "Canonical name, such as menu_generated"),
    Column(
        "occurred_at",
        _INSTANT,
        "When it happened, by a clock put right (clock_skew_ms); received_at where that is more than 10 min earlier (time_clamped)",
    ),
    Column("received_at", _INSTANT, "When the broker appended it to events.v1"),
    Column("service", "LowCardinality(String)", "source.service"),
    Column("version", "LowCardinality(String)", "source.version, empty when absent"),
    Column("environment", "LowCardinality(String)", "source.environment"),
    Column("user_id", "String", "Pseudonymised when a pepper is configured, empty when absent"),
    Column("session_id", "String", "Empty when absent"),
    Column("trace_id", "String", "W3C trace id, empty when absent"),
    Column("flags", "Map(String, String)", "Feature flag to variant, as the sender had them"),
)
_PROPERTIES: Final = Column("properties", "String", "JSON object with sorted keys; typed in the view named after the event type")
_AFTER: Final = (
    Column("kafka_partition", "UInt16", "Partition of events.v1"),
    Column("kafka_offset", "UInt64", "Offset in that partition"),
    Column("time_clamped", "Bool", "occurred_at is not what the sender said: another clock, or received_at"),
    Column("source_name", "LowCardinality(String)", "The name the event was sent under, empty when that was its own"),
    Column("bot_reasons", "Array(LowCardinality(String))", "Why it is a bot's, and so in no business metric; empty for everybody else"),
    Column("clock_skew_ms", "Int64", "Added to occurred_at: how far the sender's clock was behind, negative when ahead; 0 when believed"),
)
_VALIDITY: Final = (
    Column("schema_ok", "Bool", "Whether the properties keep to the schema; if not, it is in no metric and in no typed view"),
    Column("schema_errors", "Array(String)", "How they break it, where its type is not enforced"),
)


def _rating() -> str:
    names = _array(list(THRESHOLDS))
    good, needs_improvement = (f"transform(name, {names}, {[of_name[i] for of_name in THRESHOLDS.values()]}, -1)" for i in (0, 1))
    return f"multiIf(value <= {good}, 'good', value <= {needs_improvement}, 'needs-improvement', 'poor')"


def _array(texts: tuple[str, ...] | list[str]) -> str:
    return "[" + ", ".join(_quoted(text) for text in texts) + "]"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


#: Columns that are not what the sender wrote, but made of it: by event type and property.
_MADE: Final[Mapping[tuple[str, str], Column]] = {
    ("web_vital", "rating"): Column(
        "rating", "String", "Of the value, by the thresholds of web.dev, whatever the sender said: good, needs-improvement, poor", _rating()
    ),
    ("accepted_count", "minute"): Column(
        "minute", _INSTANT, "Start of the minute", "parseDateTime64BestEffortOrZero(JSONExtract(properties, 'minute', 'String'), 3, 'UTC')"
    ),
}
_SCALARS: Final[Mapping[Any, str]] = {str: "String", int: "Int64", float: "Float64", bool: "Bool"}


def generated_views() -> dict[str, str]:
    """View name → its statement."""
    views = {"events": _events_view(), "metrics": metrics_view(METRICS)}
    return views | {name: typed_view(name, event) for name, event in EVENT_TYPES.items()}


def typed_view(event_type: str, event: type) -> str:
    """The statement for the view of one event type: `events` without `properties`, plus one column per property.

    Raises:
        TypeError: A property's type has no place in a column.
        ValueError: A property is named like a column of every event.
    """
    properties, _ = _unwrap(get_type_hints(event, include_extras=True)["properties"])
    hints = get_type_hints(properties, include_extras=True)
    columns = [_MADE.get((event_type, name)) or _property_column(name, hint) for name, hint in hints.items()]
    if clash := {column.name for column in columns} & {column.name for column in (*_BEFORE, *_AFTER, *_VALIDITY)}:
        raise ValueError(f"{event_type}.{clash.pop()} is named like a column that every event has")
    about = " ".join((properties.__doc__ or "").split())
    comment = f"Events of type {event_type}, each once, with their properties as columns. {about} {_FRESH}"
    return _view(
        event_type,
        (*_BEFORE, *_AFTER, *columns),
        f"telemetry.events_raw FINAL\nWHERE event_type = {_quoted(event_type)} AND schema_ok",
        comment,
    )


def metrics_view(metrics: Mapping[str, Metric]) -> str:
    """The statement for the view `metrics`, which `error_rate` and `latency` take their metrics from."""
    rows = [
        f"    ({_quoted(m.name)}, {_array(m.labels)}, {_quoted(m.unit)}, {_quoted(m.error_label or '')}, {_array(sorted(m.error_values))},"
        f" {_array(sorted(m.total_values))})"
        for m in metrics.values()
    ]
    columns = (
        Column("name", "String", "Value of the column metric of other views"),
        Column("labels", "Array(String)", "Keys of the column labels"),
        Column("unit", "String", "Of the values: ms has durations in latency; empty for what is only counted"),
        Column("error_label", "String", "The label that says whether an event is an error, empty when there are no errors"),
        Column("error_values", "Array(String)", "Its values that are errors"),
        Column("total_values", "Array(String)", "Its values that an error rate is of, empty for all"),
    )
    structure = ", ".join(f"{column.name} {column.type}" for column in columns)
    source = f"values({_quoted(structure)},\n" + ",\n".join(rows) + ")"
    return _view("metrics", columns, source, "What is measured. Changes with the software only.")


def _events_view() -> str:
    comment = f"Every event once: the first copy of each event_id. {_FRESH} A month is dropped once all of it is older than 90 days."
    return _view("events", (*_BEFORE, _PROPERTIES, *_AFTER, *_VALIDITY), "telemetry.events_raw FINAL", comment)


def _view(name: str, columns: tuple[Column, ...], source: str, comment: str) -> str:
    declarations = ",\n".join(column.declaration for column in columns)
    selections = ",\n".join(column.selection for column in columns)
    return (
        f"CREATE OR REPLACE VIEW telemetry.{name}\n(\n{declarations}\n)\nAS SELECT\n{selections}\nFROM {source}\nCOMMENT {_quoted(comment)}"
    )


def _property_column(name: str, hint: Any) -> Column:
    inner, optional = _unwrap(hint)
    kind, about = _column_type(inner)
    # An array cannot be null: an absent one is empty.
    absent = "" if not optional else "; empty when absent" if kind.startswith("Array") else "; NULL when absent"
    type_ = f"Nullable({kind})" if optional and not kind.startswith("Array") else kind
    return Column(name, type_, f"Property {name}{about}{absent}", f"JSONExtract(properties, {_quoted(name)}, {_quoted(type_)})")


def _unwrap(hint: Any) -> tuple[Any, bool]:
    """What a property's hint is about, and whether it may be absent or null."""
    optional = False
    while True:
        origin = get_origin(hint)
        if origin is NotRequired:
            optional, hint = True, get_args(hint)[0]
        elif origin is Annotated:
            hint = get_args(hint)[0]
        elif origin in (Union, types.UnionType) and type(None) in get_args(hint):
            optional = True
            rest = [arg for arg in get_args(hint) if arg is not type(None)]
            hint = rest[0] if len(rest) == 1 else Union[tuple(rest)]  # noqa: UP007  # made at run time
        else:
            return hint, optional


def _column_type(hint: Any) -> tuple[str, str]:
    """ClickHouse's type, and what else there is to say about the values."""
    if hint in _SCALARS:
        return _SCALARS[hint], ""
    if get_origin(hint) is Literal:
        return "String", ": " + ", ".join(str(value) for value in get_args(hint))
    if get_origin(hint) is list:
        element, about = _column_type(_unwrap(get_args(hint)[0])[0])
        return f"Array({element})", about
    raise TypeError(f"no column type for {hint}")
