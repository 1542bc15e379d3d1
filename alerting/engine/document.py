"""A YAML file as plain values that still know where they were written, so that a mistake is named with its line and column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

from alerting.engine.suggestion import did_you_mean

T = TypeVar("T")
#: Keys and indices from the root of the file, as pydantic's `loc`.
Path = Sequence[str | int]
#: Line and column, from 1.
Place = tuple[int, int]

_BLOCKS: Final = ("|", ">")
#: What pydantic says of Python's types, said of YAML's, by type of the error.
_SHAPES: Final = {
    "too_short": "there is nothing in it",
    "list_type": "a list is written as in [a, b]",
    "tuple_type": "a list is written as in [a, b]",
    "dict_type": "a mapping is written as in {key: value}",
    "model_type": "a mapping is written as in {key: value}",
    "string_type": "a text is needed; a number is one in quotes",
}


class DocumentError(ValueError):
    """A file is wrong. `str()` is one line that begins with `line:column:` and says what to write instead."""

    def __init__(self, message: str, place: Place = (1, 1)) -> None:
        super().__init__(f"{place[0]}:{place[1]}: {message}")
        self.message, self.place = message, place


class FieldError(ValueError):
    """Raised by a validator of a whole model about one of its fields: the place is that of the field, or of its key."""

    def __init__(self, message: str, *path: str | int, is_key: bool = False) -> None:
        super().__init__(message)
        self.path, self.is_key = path, is_key


class FileModel(BaseModel):
    """A mapping of a file: keys that mean nothing are refused, with the one that may be meant."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, value: Any) -> Any:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in value if isinstance(value, dict) else ():
            if key not in known:
                raise FieldError(f"{key} is not a key here{did_you_mean(str(key), known)}", str(key), is_key=True)
        return value


@dataclass(frozen=True, slots=True)
class Document:
    """`value`: mappings, lists and scalars, as `yaml.safe_load` gives them."""

    text: str
    value: Any
    _root: yaml.Node | None

    def place(self, path: Path) -> Place:
        """Where the value at `path` begins, or the nearest thing around it when there is none."""
        node = self._node(path)
        return _place(node) if node is not None else (1, 1)

    def place_of_key(self, path: Path) -> Place:
        """Where the key at the end of `path` is written."""
        parent = self._node(path[:-1])
        for key, _ in parent.value if isinstance(parent, yaml.MappingNode) else []:
            if key.value == str(path[-1]):
                return _place(key)
        return self.place(path)

    def place_in_text(self, path: Path, column: int) -> Place:
        """Where the character `column`, from 1, of the scalar at `path` is written: quotes, escapes and folded lines are seen through."""
        node = self._node(path)
        if not isinstance(node, yaml.ScalarNode):
            return self.place(path)
        index = _index_in_source(self.text, node, column)
        return self.text.count("\n", 0, index) + 1, index - (self.text.rfind("\n", 0, index) + 1) + 1

    def _node(self, path: Path) -> yaml.Node | None:
        node = self._root
        for part in path:
            if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
            elif isinstance(node, yaml.MappingNode):
                found = next((value for key, value in node.value if key.value == str(part)), None)
                if found is None:
                    break
                node = found
            else:
                break
        return node


def parse_document(text: str) -> Document:
    """Read YAML. Raises DocumentError, also when a key is there twice, of which YAML would keep the last."""
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return Document(text, None, None)
        _refuse_repeated_keys(root, set())
        return Document(text, loader.construct_document(root), root)
    except DocumentError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise DocumentError(f"not YAML: {error.problem or error.context}", place) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: what looks like a date and is none
        raise DocumentError(f"not YAML: {' '.join(str(error).split())}") from None


def read_value(document: Document, path: Path, shape: TypeAdapter[T], subject: Callable[[Path], str] = lambda _: "") -> T:
    """The value at `path` as `shape`; null stands for one that is not there.

    Raises:
        DocumentError: for the first mistake, with its place. `subject` names what it is about, such as `rule X: `, by its path in the file.
    """
    value = document.value
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    try:
        return shape.validate_python(value)
    except ValidationError as error:
        raise _located(document, path, error.errors(include_url=False)[0], subject) from None


def _located(document: Document, path: Path, error: ErrorDetails, subject: Callable[[Path], str]) -> DocumentError:
    where = [*path, *error["loc"]]
    about, field = subject(where), next((str(part) for part in reversed(where) if isinstance(part, str)), "")
    cause = error.get("ctx", {}).get("error")  # the exception of a validator
    named = f"{about}{field}: " if field else about
    if error["type"] == "missing":
        return DocumentError(f"{about}{field} is missing", document.place(where))
    if error["type"] == "extra_forbidden":
        return DocumentError(f"{about}{field} is not a key here", document.place_of_key(where))
    if error["type"] == "literal_error":
        return DocumentError(f"{named}{error['input']} is not one of {error['ctx']['expected']}", document.place(where))
    if isinstance(cause, FieldError):
        at = [*where, *cause.path]
        return DocumentError(f"{about}{cause}", document.place_of_key(at) if cause.is_key else document.place(at))
    if (column := getattr(cause, "column", None)) is not None:
        return DocumentError(f"{about}{getattr(cause, 'message', cause)}", document.place_in_text(where, column))
    message = _SHAPES.get(error["type"], error["msg"].removeprefix("Value error, "))
    return DocumentError(f"{named}{message}", document.place(where))


def _refuse_repeated_keys(node: yaml.Node, looked_at: set[int]) -> None:
    """An alias leads to a node that has been looked at, which it may even be a part of."""
    if id(node) in looked_at:
        return
    looked_at.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _refuse_repeated_keys(child, looked_at)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            name = str(key.value)
            if name in seen:
                raise DocumentError(f"{name} is there twice", _place(key))
            seen.add(name)
            _refuse_repeated_keys(child, looked_at)


def _place(node: yaml.Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _index_in_source(text: str, node: yaml.ScalarNode, column: int) -> int:
    """Both are walked side by side by what is no white space, which is all that YAML may write differently."""
    wanted = len("".join(node.value[: column - 1].split()))
    begin, end = node.start_mark.index, node.end_mark.index
    if node.style in _BLOCKS:
        begin = text.index("\n", begin) + 1
    elif node.style in {'"', "'"}:
        begin, end = begin + 1, end - 1
    places = []
    index = begin
    while index < end:
        if not text[index].isspace():
            escaped = (node.style == '"' and text[index] == "\\") or (node.style == "'" and text[index : index + 2] == "''")
            places.append(index)
            index += escaped
        index += 1
    return places[wanted] if wanted < len(places) else (places[-1] + 1 if places else begin)
