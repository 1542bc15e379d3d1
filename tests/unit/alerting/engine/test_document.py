from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from alerting.engine.document import DocumentError, FileModel, parse_document, read_value
from alerting.engine.suggestion import did_you_mean

TEXT = """\
title: x
list:
  - {a: 1, b: two}
  - a: 3
    b: >
      first
      second
    c: "q\\"u'o te"
    d: 'it''s so'
"""


class Entry(FileModel):
    first: int
    second: int = 0


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("title",), (1, 8)),
        (("list", 0, "b"), (3, 15)),
        (("list", 1, "a"), (4, 8)),
        (("list", 1, "missing"), (4, 5)),
        (("list", 7), (3, 3)),
        ((), (1, 1)),
    ],
)
def test_a_value_is_found_where_it_was_written(path: tuple[str | int, ...], place: tuple[int, int]) -> None:
    """Line and column are counted from 1; of what is not there it is the nearest thing around it."""
    assert parse_document(TEXT).place(path) == place


def test_a_key_is_found_where_it_was_written() -> None:
    """A key that means nothing is pointed at itself, not at its value."""
    assert parse_document(TEXT).place_of_key(("list", 0, "b")) == (3, 12)


@pytest.mark.parametrize(
    ("field", "character", "place"),
    [("b", "second", (7, 7)), ("c", "o te", (8, 14)), ("c", "te", (8, 16)), ("d", "so", (9, 15)), ("b", "first", (6, 7))],
)
def test_a_character_of_a_text_is_found_through_quotes_escapes_and_folded_lines(field: str, character: str, place: tuple[int, int]) -> None:
    """However YAML writes a text, a place in it is a place in the file."""
    document = parse_document(TEXT)
    column = str(document.value["list"][1][field]).index(character) + 1
    assert document.place_in_text(("list", 1, field), column) == place


def test_the_end_of_a_text_has_a_place_too() -> None:
    """What ends too early is missed right behind its last character."""
    assert parse_document('a: "ab"\n').place_in_text(("a",), 3) == (1, 7)
    assert parse_document('a: ""\n').place_in_text(("a",), 1) == (1, 5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1", "1:6: not YAML: "),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "4:3: c is there twice"),
        ("a: 1\x00", "1:1: not YAML: "),
        ("a: &x {b: *y}", "1:11: not YAML: "),
        ("a: 2026-13-01", "1:1: not YAML: month must be in 1..12"),
        ("? [a, b]\n: 1\n", "1:3: not YAML: found unhashable key"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place(text: str, says: str) -> None:
    """A key that is there twice is refused as well: YAML would take the last, and nobody would know."""
    with pytest.raises(DocumentError) as refused:
        parse_document(text)
    assert str(refused.value).startswith(says)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("list: [{first: 1}, {first: 2, secnd: 3}]", "1:31: secnd is not a key here; did you mean second?"),
        ("list: [{first: 1}, {second: 3}]", "1:20: first is missing"),
        ("list: [{first: x}]", "1:16: first: Input should be a valid integer"),
        ("other: 1", "1:1: list: a list is written as in [a, b]"),
        ("", "1:1: list: a list is written as in [a, b]"),
    ],
)
def test_the_first_mistake_is_named_with_its_place(text: str, says: str) -> None:
    """One line: where, which field, and what to write instead."""
    with pytest.raises(DocumentError) as refused:
        read_value(parse_document(text), ("list",), TypeAdapter(list[Entry]))
    assert str(refused.value).startswith(says)


def test_a_file_that_contains_itself_is_read() -> None:
    """An alias may lead back to where it stands: it is YAML, and what it means is for the shape to refuse."""
    value = parse_document("a: &x [1, *x]\n").value
    assert value["a"][1] is value["a"]


def test_a_suggestion_is_close_or_names_all_there_are() -> None:
    """Capitals make no difference; without anything close, and without anything at all, it says so."""
    assert did_you_mean("SEVERTY", ["severity", "name"]) == "; did you mean severity?"
    assert did_you_mean("xyz", ["severity", "name"]) == "; there are severity, name"
    assert did_you_mean("xyz", ["severity"], otherwise="as in x") == "; as in x"
    assert not did_you_mean("xyz", [])
