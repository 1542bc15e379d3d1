from __future__ import annotations

import pytest

from pipeline.runtime.errors import Stop
from pipeline.runtime.resume import Resume, at_committed, check_readable
from tests.unit.runtime.records import TP


async def test_reading_resumes_at_the_committed_offset() -> None:
    """Zero is an offset like any other."""
    assert await at_committed(Resume(TP, committed=0, log_start=0, log_end=9)) == 0
    assert await at_committed(Resume(TP, committed=7, log_start=5, log_end=9)) == 7


async def test_a_group_that_never_committed_begins_at_the_start_of_the_log() -> None:
    """Which is not zero when retention has removed something before the group existed."""
    assert await at_committed(Resume(TP, committed=None, log_start=5, log_end=9)) == 5


@pytest.mark.parametrize("offset", [5, 9])
def test_every_offset_the_log_can_go_on_from_is_readable(offset: int) -> None:
    """From its first record to its end."""
    check_readable(Resume(TP, None, log_start=5, log_end=9), offset, "worker")


def test_records_that_retention_removed_stop_the_worker() -> None:
    """The line says which offsets are gone and how to go on without them."""
    with pytest.raises(Stop, match=r"events\.v1-3: retention removed records that were not read: offsets 2 to 4; .*reset-offsets.*worker"):
        check_readable(Resume(TP, 2, log_start=5, log_end=9), 2, "worker")


def test_an_offset_beyond_the_log_stops_the_worker() -> None:
    """A topic made anew would else be skipped until it has grown past the old offset."""
    with pytest.raises(Stop, match="the log ends at 9, before offset 10"):
        check_readable(Resume(TP, 10, log_start=0, log_end=9), 10, "worker")
