from __future__ import annotations

from pipeline.agents.rows import redacted_sample


def test_a_sample_shows_names_and_kinds_and_no_values() -> None:
    """What a refused event held is not shown where analysts look; its shape is."""
    value = b'{"user_id":"anna@example.com","properties":{"restrictions":["coeliac","kosher"],"n":5,"x":null}}'
    assert redacted_sample(value) == '{"user_id":"str","properties":{"restrictions":["str","str"],"n":"int","x":"NoneType"}}'


def test_a_sample_of_what_is_no_json_says_how_long_it_was() -> None:
    """Bytes that cannot be read are not shown at all."""
    assert redacted_sample(b"\xffsecret") == "7 bytes that are not JSON"
