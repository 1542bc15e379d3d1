from __future__ import annotations

import orjson

from pipeline.agents.effects import Lines


def test_lines_are_one_text_whatever_they_were_added_as() -> None:
    """Rows encoded at different times and those of a later flush become one text in order, and are counted."""
    lines, later = Lines(), Lines()
    lines.encode([(1,)])
    lines.encode([])
    later.encode([(2, "zwei"), (3, None)])
    lines.add(later)
    lines.add(Lines())
    assert [row for piece in lines.text().splitlines() for row in orjson.loads(b"[" + piece + b"]")] == [[1], [2, "zwei"], [3, None]]
    assert lines.count == 3


def test_the_first_line_is_one_row() -> None:
    """What is tried before everything is sent again is a single row, of many that were encoded together too."""
    lines, earlier = Lines(), Lines()
    lines.encode([(1, "a"), (2, "b")])
    assert orjson.loads(lines.first) == [1, "a"]
    earlier.encode([(0,)])
    earlier.add(lines)
    assert earlier.first == b"[0]"
