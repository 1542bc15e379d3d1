from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.dead_letter import MAX_RECORD_HEADERS_BYTES, headers_to_keep, read_dead_letter, replayed

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples" / "dead_letter"


def headers_of(path: Path) -> list[tuple[str, bytes]]:
    return [(name, text.encode()) for name, text in json.loads(path.read_text()).items()]


@pytest.mark.parametrize("path", sorted((EXAMPLES / "valid").glob("*.json")), ids=lambda path: path.stem)
def test_valid_headers_are_read_and_written_alike(path: Path) -> None:
    """A dead letter that is read and written again has the same headers, those of the record it was too, key and bytes."""
    letter = read_dead_letter(headers_of(path), b"u-42", b"\xff")
    assert letter.headers() == headers_of(path)
    assert (letter.key, letter.value) == (b"u-42", b"\xff")


@pytest.mark.parametrize("path", sorted((EXAMPLES / "invalid").glob("*.json")), ids=lambda path: path.stem)
def test_the_header_at_fault_is_named(path: Path) -> None:
    """What no worker writes is refused, by the name of the header."""
    with pytest.raises(ValueError, match=path.stem.split("--", maxsplit=1)[0]):
        read_dead_letter(headers_of(path), None, b"")


PLACE = b"nutricoach.telemetry.events.v1/3/41"


@pytest.mark.parametrize(
    ("attempts", "origin"),
    [(b"-1", PLACE), (b"1e3", PLACE), (b"", PLACE), (b"1000", PLACE), (b"1", b""), (b"1", b"t/3"), (b"1", b"t/x/1"), (b"1", None)],
)
def test_headers_that_no_replay_writes_say_nothing(attempts: bytes, origin: bytes | None) -> None:
    """Anybody may write headers: what is no number of attempts with a place is no replayed letter, and ends nobody."""
    assert replayed([("dlq.attempts", attempts), ("dlq.origin", origin)]) == (0, "")


def test_a_record_keeps_its_headers_unless_they_are_too_long() -> None:
    """What the record said of itself goes with it; headers of letters, who accepted it, and more than `dlq.v1` must take, do not."""
    headers = [("dlq.topic", b"elsewhere"), ("bare", None), ("trace", b"t" * (MAX_RECORD_HEADERS_BYTES - len("baretrace")))]
    assert headers_to_keep([("accepted_by", b"gateway"), *headers]) == (("bare", b""), headers[2])
    assert headers_to_keep([*headers, ("x", b"")]) == ()
