"""Reads a condition: text to a checked tree, or one line that says what is wrong, where, and what may be meant.

NOT binds tighter than AND, AND tighter than OR. A comparison is one of these, selection and window optional,

    name {label="value", other!="value"} [window] operator number unit
    name {…} [window] drop > 30%        below usual times, as a part of them; rise: above; degradation: to the worse side
    absent(name {…} [window])           nothing of it came
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, cast

from lark import Lark, Token, Tree, UnexpectedInput, UnexpectedToken

from alerting.engine.condition import Against, AllOf, AnyOf, Comparison, Condition, Node, Not, Selector, comparisons_of
from alerting.engine.quantity import LONGEST_PANE_WINDOW_MS, QUANTITIES, Quantity
from alerting.engine.suggestion import did_you_mean
from schemas.pane import PANE_MS

_GRAMMAR: Final = r"""
start: _or
_or: or | _and
_and: and | _not
_not: not | _atom
_atom: comparison | deviation | absence | "(" _or ")"
or: _and (_OR _and)+
and: _not (_AND _not)+
not: _NOT _not
comparison: NAME [selection] [window] OPERATOR NUMBER [UNIT]
deviation: NAME [selection] [window] DEVIATION OPERATOR NUMBER [UNIT]
absence: _ABSENT "(" NAME [selection] [window] ")"
selection: "{" selector ("," selector)* "}"
selector: NAME EQUALITY ESCAPED_STRING
window: "[" NUMBER [UNIT] "]"
OPERATOR: ">=" | "<=" | ">" | "<"
EQUALITY: "!=" | "="
DEVIATION.2: /(drop|degradation|rise)\b/i
_OR.2: /OR\b/i
_AND.2: /AND\b/i
_NOT.2: /NOT\b/i
_ABSENT.2: /absent(?=\s*\()/i
UNIT: "%" | /(ms|s|m|h|d)\b/
NAME: /[a-zA-Z_][a-zA-Z0-9_]*/
NUMBER: /[0-9]+(\.[0-9]+)?/
%import common.ESCAPED_STRING
%import common.WS
%ignore WS
"""
MS_PER_UNIT: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_EXAMPLE: Final = "a comparison is written as in error_rate > 5%"
_WORDS: Final = ("OR", "AND", "NOT", "drop", "rise", "degradation", "absent")


class ConditionError(ValueError):
    """The text is not a condition. `str()` says what is wrong, at which column, and what may be meant."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"column {column}: {message}")
        self.message, self.column = message, column


@lru_cache(maxsize=1_000)
def parse_condition(text: str) -> Condition:
    """Parse and type-check. Raises ConditionError."""
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _syntax_error(text, error) from None
    root = _node(cast("Tree[Token]", tree.children[0]), text)
    return Condition(text, root, tuple(comparisons_of(root)))


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=True)


def _node(tree: Tree[Token], text: str) -> Node:
    match tree.data:
        case "comparison" | "deviation" | "absence":
            return _comparison(tree, text)
        case "not":
            return Not(_node(cast("Tree[Token]", tree.children[0]), text))
    parts = tuple(_node(child, text) for child in cast("list[Tree[Token]]", tree.children))
    return AnyOf(parts) if tree.data == "or" else AllOf(parts)


def _comparison(tree: Tree[Token], text: str) -> Comparison:
    name, selection, window, *test = cast("list[Token | Tree[Token] | None]", tree.children)
    quantity = _quantity(cast("Token", name))
    against, comparator, threshold = _test(quantity, cast("Token", name), cast("list[Token]", test))
    return Comparison(
        text=" ".join(text[tree.meta.start_pos : tree.meta.end_pos].split()),
        quantity=quantity,
        selectors=_selectors(cast("Tree[Token]", selection), quantity) if selection is not None else (),
        window_ms=_window_ms(cast("Tree[Token]", window), quantity) if window is not None else None,
        against=against,
        operator=comparator,
        threshold=threshold,
    )


def _quantity(name: Token) -> Quantity:
    quantity = QUANTITIES.get(name)
    if quantity is None:
        raise ConditionError(f"{name} is not a quantity{did_you_mean(name, QUANTITIES)}", _column(name))
    return quantity


def _test(quantity: Quantity, name: Token, test: list[Token]) -> tuple[Against, str, float]:
    """Against what the quantity is compared, by which operator, and the threshold."""
    if len(test) == 3:
        comparator, number, unit = test
        return "threshold", str(comparator), _threshold(quantity, number, unit)
    if quantity.source != "panes":
        raise ConditionError(f"{quantity.name} is not in panes: it has no usual times, and cannot be absent", _column(name))
    if not test:
        return "absence", "<=", 0.0
    deviation, comparator, number, unit = test
    if comparator not in {">", ">="}:
        raise ConditionError(f"a {deviation} is compared with >, as in {deviation} > 30%", _column(comparator))
    if unit != "%":
        raise ConditionError(f"a {deviation} is a part of usual times: write its threshold in %, as in 30%", _column(unit or number))
    return cast("Against", str(deviation).lower()), str(comparator), float(number) / 100


def _selectors(tree: Tree[Token], quantity: Quantity) -> tuple[Selector, ...]:
    chosen: list[Selector] = []
    for selector in cast("list[Tree[Token]]", tree.children):
        label, equality, value = cast("list[Token]", selector.children)
        if label not in quantity.labels:
            suggestion = did_you_mean(label, quantity.labels)
            raise ConditionError(f"{quantity.name} has no label {label} to select by{suggestion}", _column(label))
        if equality == "=" and any(s.label == label and not s.negated for s in chosen):
            raise ConditionError(f"{label} cannot have two values at once", _column(label))
        chosen.append(Selector(str(label), re.sub(r"\\(.)", r"\1", value[1:-1]), equality == "!="))
    return tuple(sorted(chosen, key=lambda selector: (selector.label, selector.value, selector.negated)))


def _window_ms(tree: Tree[Token], quantity: Quantity) -> int:
    number, unit = cast("tuple[Token, Token | None]", tree.children)
    longest_ms = quantity.longest_window_ms
    if longest_ms == 0:
        raise ConditionError(f"{quantity.name} has no window", _column(number))
    window = float(number) * MS_PER_UNIT.get(unit or "", 0)
    if window <= 0 or window % PANE_MS or window > longest_ms:
        raise ConditionError(f"a window is a multiple of 10s, at most {_longest(longest_ms)}, not {number}{unit or ''}", _column(number))
    return int(window)


def _longest(ms: int) -> str:
    return f"{ms // 86_400_000}d" if ms > LONGEST_PANE_WINDOW_MS else f"{ms // 3_600_000}h"


def _threshold(quantity: Quantity, number: Token, unit: Token | None) -> float:
    column = _column(unit or number)
    match quantity.unit:
        case "ratio":
            if unit != "%":
                raise ConditionError(f"{quantity.name} is a ratio: write its threshold in %, as in 5%", column)
            if float(number) > 100:
                raise ConditionError(f"{quantity.name} is a ratio: it is at most 100%", _column(number))
            return float(number) / 100
        case "ms":
            if unit is None or unit not in MS_PER_UNIT:
                raise ConditionError(f"{quantity.name} is a time: write its threshold in ms, s, m, h or d, as in 30s", column)
            return float(number) * MS_PER_UNIT[unit]
        case "rating" | "count":
            if unit is not None:
                what, example = ("a rating from 1 to 5", "4.0") if quantity.unit == "rating" else ("a number of events", "10")
                raise ConditionError(f"{quantity.name} is {what}: write its threshold without a unit, as in {example}", column)
            return float(number)


def _syntax_error(text: str, error: UnexpectedInput) -> ConditionError:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return ConditionError(f"the condition ends too early; {_EXAMPLE}", len(text) + 1)
    place = error.pos_in_stream or 0
    word = re.match(r"\w+|.", text[place:].strip() or text[place:])
    found = word[0] if word else text[place:]
    return ConditionError(f"{found} is not expected here{did_you_mean(found, _WORDS, otherwise=_EXAMPLE)}", place + 1)


def _column(token: Token) -> int:
    """Counted over the whole text, from 1: a condition may be written on several lines."""
    return (token.start_pos or 0) + 1
