"""Whatever somebody writes into a rule file, the answer is rules, or one line with a place in the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.config.load import CONFIG_DIR
from alerting.engine.condition import AllOf, AnyOf, Comparison, Node, Not
from alerting.engine.condition_text import ConditionError, parse_condition
from alerting.engine.document import DocumentError
from alerting.engine.rule import parse_rules

Refusal = TypeVar("Refusal", bound=Exception)
FILES = [path.read_text("utf-8") for path in sorted((CONFIG_DIR / "rules").glob("*.yaml"))]
WORDS = (
    "error_rate",
    "avg_time",
    "cpu",
    "absent",
    "drop",
    "OR",
    "and",
    "not",
    "(",
    ")",
    "{",
    "}",
    '{host="a"}',
    "[1m]",
    "[",
    ">",
    "<=",
    "5",
    "%",
    "30s",
    "4.0",
    '"',
)
LEAVES = st.sampled_from(("error_rate > 5%", 'avg_time{provider!="a"}[5m] <= 30s', "absent(menus[10m])", "feature_usage[1h] drop > 30%"))


def conditions() -> st.SearchStrategy[str]:
    """Texts of conditions with every part in parentheses."""
    return st.recursive(
        LEAVES,
        lambda parts: st.one_of(
            parts.map(lambda part: f"NOT ({part})"),
            st.tuples(st.sampled_from((" OR ", " AND ")), st.lists(parts, min_size=2, max_size=3)).map(
                lambda t: t[0].join(f"({p})" for p in t[1])
            ),
        ),
        max_leaves=6,
    )


def written(node: Node) -> str:
    """A tree as a text with every part in parentheses."""
    match node:
        case Comparison():
            return node.text
        case Not():
            return f"NOT ({written(node.part)})"
        case AnyOf():
            return " OR ".join(f"({written(part)})" for part in node.parts)
        case AllOf():
            return " AND ".join(f"({written(part)})" for part in node.parts)


def refusal_of(read: Callable[[], object], kind: type[Refusal]) -> Refusal | None:
    """The error of `kind` that it raises, None when it raises none."""
    try:
        read()
    except kind as error:
        return error
    return None


@given(conditions())
@settings(max_examples=50)
def test_what_is_read_is_what_was_written(text: str) -> None:
    """The tree, written down again, is the text: nothing is lost, added or bound otherwise."""
    assert written(parse_condition(text).root) == text


@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)))
@settings(max_examples=150)
def test_any_text_is_a_condition_or_has_a_mistake_with_a_column(text: str) -> None:
    """The column lies in the text, or right behind it."""
    refused = refusal_of(lambda: parse_condition(text), ConditionError)
    if refused is not None:
        assert 1 <= refused.column <= len(text) + 1
        assert "\n" not in refused.message


@given(st.sampled_from(FILES), st.data())
@settings(max_examples=60, deadline=None)
def test_a_rule_file_with_anything_changed_is_read_or_refused_in_one_line(text: str, data: st.DataObject) -> None:
    """A piece is replaced by another text: the place that is named lies in the file."""
    begin = data.draw(st.integers(0, len(text)))
    end = min(len(text), begin + data.draw(st.integers(0, 12)))
    changed = (
        text[:begin] + data.draw(st.one_of(st.text(max_size=5), st.sampled_from(("\n", ": ", "- ", "[", '"', "null", "3")))) + text[end:]
    )
    refused = refusal_of(lambda: parse_rules(changed), DocumentError)
    if refused is not None:
        line, column = refused.place
        assert 1 <= line <= changed.count("\n") + 2
        assert column >= 1
        assert "\n" not in str(refused)
