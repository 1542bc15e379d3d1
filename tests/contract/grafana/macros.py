"""What Grafana and its ClickHouse plugin make of a query before the server sees it, as the plugin's 4.20 pkg/macros does it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The dashboard's time range in ms since 1970; the plugin cuts it to seconds where its macros do."""

    from_ms: int
    to_ms: int


def expand(sql: str, time_range: TimeRange, variables: Mapping[str, str]) -> str:
    """`sql` with dashboard variables and macros replaced. ValueError for one that is unknown: it would reach the server as it stands."""
    return _macros(re.sub(r"\$\{(\w+)\}", lambda found: _variable(found[1], variables), sql), time_range)


def _variable(name: str, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise ValueError(f"the dashboard has no variable {name}")
    return variables[name]


def _macros(sql: str, time_range: TimeRange) -> str:
    expanded, position = "", 0
    for found in re.finditer(r"\$__(\w+)", sql):
        arguments, end = _arguments(sql, found.end()) if sql[found.end() : found.end() + 1] == "(" else ([], found.end())
        expanded += sql[position : found.start()] + _macro(found[1], arguments, time_range)
        position = end
    return expanded + sql[position:]


def _arguments(sql: str, opening: int) -> tuple[list[str], int]:
    """The arguments between the bracket at `opening` and the one that closes it, and the position after that."""
    depth, start, arguments = 0, opening + 1, []
    for position in range(opening, len(sql)):
        character = sql[position]
        depth += (character == "(") - (character == ")")
        if depth == 0 or (character == "," and depth == 1):
            arguments.append(sql[start:position].strip())
            start = position + 1
        if depth == 0:
            return arguments, position + 1
    raise ValueError(f"a bracket is not closed: {sql[opening:]}")


def _macro(name: str, arguments: list[str], time_range: TimeRange) -> str:
    from_s, to_s = f"toDateTime({time_range.from_ms // 1000})", f"toDateTime({time_range.to_ms // 1000})"
    match name, arguments:
        case "timeFilter", [column]:
            return f"{column} >= {from_s} AND {column} <= {to_s}"
        case "timeFilter_ms", [column]:
            from_ms, to_ms = f"fromUnixTimestamp64Milli({time_range.from_ms})", f"fromUnixTimestamp64Milli({time_range.to_ms})"
            return f"{column} >= {from_ms} AND {column} <= {to_ms}"
        case "toTime", []:
            return to_s
    raise ValueError(f"$__{name} with {len(arguments)} arguments is not used by any dashboard so far")
