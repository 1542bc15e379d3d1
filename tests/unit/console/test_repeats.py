from __future__ import annotations

from pipeline.console.repeats import Repeats


def test_the_last_ones_are_remembered() -> None:
    """What was added is known until there are too many; then the oldest is forgotten."""
    repeats = Repeats(most=2)
    assert "a" not in repeats
    for identity in ("a", "b", "a"):
        repeats.add(identity)
    assert "a" in repeats
    assert "b" in repeats
    repeats.add("c")
    assert [identity for identity in "abc" if identity in repeats] == ["b", "c"]
