"""The condition of a rule, `error_rate > 5% OR avg_time > 30s` as the seed writes it: text to a checked tree.

AND binds tighter than OR. A comparison is `name {label="value", …} [window] operator number unit`, labels and window optional.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Final, cast

from lark import Lark, Token, Tree, UnexpectedInput, UnexpectedToken

from alerting.engine.quantity import QUANTITIES, Quantity
from schemas.pane import PANE_MS

_GRAMMAR: Final = r"""
start: _or
_or: or | _and
_and: and | _atom
_atom: comparison | "(" _or ")"
or: _and (_OR _and)+
and: _atom (_AND _atom)+
comparison: NAME [labels] [window] OPERATOR NUMBER [UNIT]
labels: "{" label ("," label)* "}"
label: NAME "=" ESCAPED_STRING
window: "[" NUMBER UNIT "]"
OPERATOR: ">=" | "<=" | ">" | "<"
_OR.2: /OR\b/i
_AND.2: /AND\b/i
UNIT: "%" | /(ms|s|m|h)\b/
NAME: /[a-zA-Z_][a-zA-Z0-9_]*/
NUMBER: /[0-9]+(\.[0-9]+)?/
%import common.ESCAPED_STRING
%import common.WS
%ignore WS
"""
_MS_PER_UNIT: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_EXAMPLE: Final = "a comparison is written as in error_rate > 5%"
#: The board holds an hour of panes; longer windows would have to be read from the warehouse.
LONGEST_WINDOW_MS: Final = 3_600_000
OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class ConditionError(ValueError):
    """The text is not a condition. `str()` says what is wrong, at which column, and what may be meant."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"column {column}: {message}")
        self.column = column


@dataclass(frozen=True, slots=True)
class Comparison:
    """`threshold` is in the quantity's unit: 0.05 for 5%, 30000 for 30s. `window_ms` None means the window of the rule."""

    text: str
    quantity: Quantity
    labels: tuple[tuple[str, str], ...]
    window_ms: int | None
    operator: str
    threshold: float

    def holds(self, value: float) -> bool:
        return OPERATORS[self.operator](value, self.threshold)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when one part is true."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """True when every part is true."""

    parts: tuple[Node, ...]


Node = Comparison | AnyOf | AllOf
#: name, labels, window, operator, number, unit: what the grammar's `comparison` has, absent options as None.
_ComparisonParts = tuple[Token, Tree[Token] | None, Tree[Token] | None, Token, Token, Token | None]


@dataclass(frozen=True, slots=True)
class Condition:
    """The text as written, the tree, and its comparisons from left to right."""

    text: str
    root: Node
    comparisons: tuple[Comparison, ...]


def parse_condition(text: str) -> Condition:
    """Parse and type-check. Raises ConditionError."""
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _syntax_error(text, error) from None
    root = _node(cast("Tree[Token]", tree.children[0]), text)
    return Condition(text, root, tuple(_comparisons(root)))


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=True)


def _comparisons(node: Node) -> Iterable[Comparison]:
    if isinstance(node, Comparison):
        yield node
    else:
        for part in node.parts:
            yield from _comparisons(part)


def _node(tree: Tree[Token], text: str) -> Node:
    if tree.data == "comparison":
        return _comparison(tree, text)
    parts = tuple(_node(child, text) for child in cast("list[Tree[Token]]", tree.children))
    return AnyOf(parts) if tree.data == "or" else AllOf(parts)


def _comparison(tree: Tree[Token], text: str) -> Comparison:
    name, labels, window, comparator, number, unit = cast("_ComparisonParts", tree.children)
    quantity = QUANTITIES.get(name)
    if quantity is None:
        raise ConditionError(f"{name} is not a quantity{_did_you_mean(name, QUANTITIES)}", _column(name))
    return Comparison(
        text=" ".join(text[tree.meta.start_pos : tree.meta.end_pos].split()),
        quantity=quantity,
        labels=_labels(labels, quantity) if labels is not None else (),
        window_ms=_window_ms(window, quantity) if window is not None else None,
        operator=str(comparator),
        threshold=_threshold(quantity, number, unit),
    )


def _labels(tree: Tree[Token], quantity: Quantity) -> tuple[tuple[str, str], ...]:
    metric = quantity.metric
    allowed = [label for label in metric.labels if label != metric.error_label] if metric is not None else []
    chosen: dict[str, str] = {}
    for label in cast("list[Tree[Token]]", tree.children):
        name, value = cast("list[Token]", label.children)
        if name not in allowed:
            raise ConditionError(f"{quantity.name} has no label {name} to select by{_did_you_mean(name, allowed)}", _column(name))
        chosen[str(name)] = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return tuple(sorted(chosen.items()))


def _window_ms(tree: Tree[Token], quantity: Quantity) -> int:
    number, unit = cast("list[Token]", tree.children)
    if quantity.metric is None:
        raise ConditionError(f"{quantity.name} has no window", _column(number))
    window = float(number) * _MS_PER_UNIT.get(unit, 0)
    if window <= 0 or window % PANE_MS or window > LONGEST_WINDOW_MS:
        raise ConditionError(f"a window is a multiple of 10s, at most 1h, not {number}{unit}", _column(number))
    return int(window)


def _threshold(quantity: Quantity, number: Token, unit: Token | None) -> float:
    if quantity.unit == "ratio":
        if unit != "%":
            raise ConditionError(f"{quantity.name} is a ratio: write its threshold in %, as in 5%", _column(unit or number))
        return float(number) / 100
    if unit is None or unit not in _MS_PER_UNIT:
        raise ConditionError(f"{quantity.name} is a time: write its threshold in ms, s, m or h, as in 30s", _column(unit or number))
    return float(number) * _MS_PER_UNIT[unit]


def _syntax_error(text: str, error: UnexpectedInput) -> ConditionError:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return ConditionError(f"the condition ends too early; {_EXAMPLE}", len(text) + 1)
    word = text[error.column - 1 :].split(maxsplit=1)[0]
    close = get_close_matches(word.upper(), ("OR", "AND"), n=1, cutoff=0.5)
    return ConditionError(f"{word} is not expected here; {f'did you mean {close[0]}?' if close else _EXAMPLE}", error.column)


def _column(token: Token) -> int:
    return token.column or 1


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    names = list(known)
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(names)}" if names else ""
