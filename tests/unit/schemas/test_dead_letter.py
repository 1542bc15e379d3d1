from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.dead_letter import read_dead_letter

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples" / "dead_letter"


def headers_of(path: Path) -> list[tuple[str, bytes]]:
    return [(name, text.encode()) for name, text in json.loads(path.read_text()).items()]


@pytest.mark.parametrize("path", sorted((EXAMPLES / "valid").glob("*.json")), ids=lambda path: path.stem)
def test_valid_headers_are_read_and_written_alike(path: Path) -> None:
    """A dead letter that is read and written again has the same headers of ours, key and bytes."""
    letter = read_dead_letter(headers_of(path), b"u-42", b"\xff")
    ours = [(name, text) for name, text in headers_of(path) if name.startswith("dlq.")]
    assert letter.headers() == ours
    assert (letter.key, letter.value) == (b"u-42", b"\xff")


@pytest.mark.parametrize("path", sorted((EXAMPLES / "invalid").glob("*.json")), ids=lambda path: path.stem)
def test_the_header_at_fault_is_named(path: Path) -> None:
    """What no worker writes is refused, by the name of the header."""
    with pytest.raises(ValueError, match=path.stem.split("--", maxsplit=1)[0]):
        read_dead_letter(headers_of(path), None, b"")
