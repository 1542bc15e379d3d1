"""Rows as a text table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Columns are the keys of the rows in the order they first appear; numbers to the right, texts to the left."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[i]) for line in cells)) for i, column in enumerate(columns)]
    right = [all(isinstance(row.get(column), int | float | None) for row in rows) for column in columns]
    lines = [columns, ["-" * width for width in widths], *cells]
    aligned = [
        "  ".join(cell.rjust(width) if numeric else cell.ljust(width) for cell, width, numeric in zip(line, widths, right, strict=True))
        for line in lines
    ]
    return "\n".join(line.rstrip() for line in aligned)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
    return str(value)
