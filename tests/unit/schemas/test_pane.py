from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.pane import parse_flush

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples" / "flush"


@pytest.mark.parametrize("path", sorted((EXAMPLES / "valid").glob("*.json")), ids=lambda path: path.stem)
def test_valid_flushes_are_read_and_written_alike(path: Path) -> None:
    """A flush that is read and written again reads the same."""
    flush = parse_flush(path.read_bytes())
    assert parse_flush(flush.model_dump_json().encode()) == flush


@pytest.mark.parametrize("path", sorted((EXAMPLES / "invalid").glob("*.json")), ids=lambda path: path.stem)
def test_invalid_flushes_are_refused(path: Path) -> None:
    """What no worker writes is not read."""
    with pytest.raises(ValidationError):
        parse_flush(path.read_bytes())


def test_times_have_milliseconds_and_z() -> None:
    """Instants on the wire are ISO 8601 in UTC with three decimals and Z, buckets have decimal strings as keys."""
    flush = parse_flush((EXAMPLES / "valid" / "with-a-pane.json").read_bytes())
    assert flush.watermark == datetime(2026, 11, 23, 10, 0, 4, 200_000, tzinfo=UTC)
    assert '"start":"2026-11-23T10:00:00.000Z"' in flush.model_dump_json()
    assert '"buckets":{"-1":1,"-32768":1}' in flush.model_dump_json()
