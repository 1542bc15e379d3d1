from __future__ import annotations

import pytest

from alerting.engine.reading import parse_flush_for
from schemas.pane import parse_flush
from tests.unit.alerting.traffic import Source


def test_panes_of_other_metrics_and_buckets_that_nobody_needs_are_left_out() -> None:
    """Everything else is as the whole parser reads it."""
    flush = Source(3).menus(1, 10).failures(2, 5).flush(caught_up_s=3)
    other = flush.panes[0].model_copy(update={"metric": "web_vital"})
    with_buckets = flush.panes[0].model_copy(update={"buckets": {-32768: 1, 7: 2}})
    value = flush.model_copy(update={"panes": [other, with_buckets, flush.panes[1]]}).model_dump_json().encode()
    assert parse_flush_for(value, {"menu_generation"}) == flush
    assert parse_flush_for(value, {"menu_generation"}, {"menu_generation"}).panes == [with_buckets, flush.panes[1]]
    assert len(parse_flush(value).panes) == 3


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b"null", b"{}", b'{"panes":3}', b'{"panes":[1]}', b'{"panes":[]}'])
def test_what_no_worker_writes_is_a_value_error(value: bytes) -> None:
    """Whatever is wrong, it is one kind of error."""
    with pytest.raises(ValueError):  # noqa: PT011
        parse_flush_for(value, {"menu_generation"})


def test_a_partition_that_events_do_not_have_is_refused() -> None:
    """There are twelve."""
    with pytest.raises(ValueError, match="no partition 12"):
        parse_flush_for(Source(12).menus(1).flush().model_dump_json().encode(), {"menu_generation"})
