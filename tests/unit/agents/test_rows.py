from __future__ import annotations

import pytest

from pipeline.agents.rows import SAMPLE_BYTES, redacted_sample


def test_a_sample_shows_names_and_kinds_and_no_values() -> None:
    """What a refused event held is not shown where analysts look; its shape is."""
    value = b'{"user_id":"anna@example.com","properties":{"restrictions":["coeliac","kosher"],"n":5,"x":null}}'
    assert redacted_sample(value) == '{"user_id":"str","properties":{"restrictions":["str","str"],"n":"int","x":"NoneType"}}'


def test_a_name_that_no_field_has_is_not_shown_either() -> None:
    """Senders use what they have as names: addresses, numbers, sentences."""
    value = b'{"anna@example.com":1,"+49 170 1234567":2,"time_spent_ms":3,"$current_url":4,"timeSpent":5,"new-planner":6,"anna smith":7}'
    assert redacted_sample(value) == '{"…":"int","time_spent_ms":"int","$current_url":"int","timeSpent":"int","new-planner":"int"}'


def test_a_sample_of_what_is_no_json_says_how_long_it_was() -> None:
    """Bytes that cannot be read are not shown at all."""
    assert redacted_sample(b"\xffsecret") == "7 bytes that are not JSON"


@pytest.mark.parametrize("depth", [199, 254, 300, 500, 1_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_no_depth_makes_a_sample_fail(opening: bytes, closing: bytes, depth: int) -> None:
    """What orjson reads but cannot write, and what Python cannot walk, is a sample all the same: else it would stop the worker for good."""
    assert len(redacted_sample(opening * depth + b"1" + closing * depth)) <= SAMPLE_BYTES


def test_a_sample_of_very_many_or_very_long_names_is_short() -> None:
    """A megabyte of names is not written out to be cut."""
    assert len(redacted_sample(b"{" + b",".join(b'"k%d":1' % i for i in range(90_000)) + b"}")) == SAMPLE_BYTES
    assert redacted_sample(b'{"' + b"k" * 900_000 + b'":1}') == '{"…":"int"}'
