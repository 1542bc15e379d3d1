"""What holds of a path's template whatever the path."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from pipeline.aggregation.paths import path_template

#: Pieces of which segments that nearly are ids come about far more often than of single characters.
_PIECES = st.sampled_from(
    ["a", "f", "z", "G", "0", "7", "12", "2024", "-", "_", ".", ":", ":id", "@", "%40", "{", "://", "?", "#", "é", "٣", "soup"]
)
_SEGMENTS = st.lists(_PIECES, max_size=12).map("".join) | st.uuids().map(str) | st.text(max_size=40)
_PATHS = st.builds(
    lambda head, segments: head + "/".join(segments),
    st.sampled_from(["", "/", "https://app.example/", "//"]),
    st.lists(_SEGMENTS, max_size=6),
)


@given(_PATHS)
def test_a_template_is_its_own_template(path: str) -> None:
    """Applying it again changes nothing: panes recomputed from labels and from events agree."""
    assert path_template(path_template(path)) == path_template(path)


@given(_PATHS)
def test_a_template_has_something_and_no_query(path: str) -> None:
    """It is never empty, has neither query nor fragment, and is the same with and without them."""
    template = path_template(path)
    assert template
    assert not set(template) & {"?", "#"}
    assert path_template(path + "?q=1#top") == template


@given(st.lists(_SEGMENTS.map(lambda segment: segment.translate({ord(c): None for c in "/?#"})), min_size=1, max_size=5))
def test_each_segment_is_judged_by_itself(segments: list[str]) -> None:
    """A path has as many segments as its template, and what one becomes does not depend on its neighbours."""
    whole = path_template("/" + "/".join(segments))
    assert whole.split("/")[1:] == [path_template(f"/{segment}")[1:] for segment in segments]


@given(st.text(string.ascii_lowercase + "-", max_size=31))
def test_words_without_digits_stay(word: str) -> None:
    """What has neither digits nor an `@` is kept as it is."""
    assert path_template(f"/{word}") == f"/{word}"
