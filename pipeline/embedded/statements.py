"""What a statement may do: judged on the engine's own canonical text of it, never on what the client typed.

The canonical text (`formatQuerySingleLine`) has no comments, one spelling of every keyword and quoted name, and is one statement;
a call is always `name(` without a space. So the names of calls, engines, formats and settings can be read off it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.embedded.engine_vocabulary import ENGINES, Vocabulary, changes_parser, names_files, refused

READS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "EXISTS", "EXPLAIN", "USE"})
_WRITES = frozenset(
    {"INSERT", "DROP", "TRUNCATE", "ALTER", "RENAME", "EXCHANGE", "OPTIMIZE", "DELETE", "UPDATE", "CHECK", "SET", "KILL", "UNDROP"}
)
_CREATES = re.compile(r"(?:CREATE|REPLACE|CREATE OR REPLACE) (?:TEMPORARY )?(?:TABLE|VIEW|MATERIALIZED VIEW|DATABASE|INDEX) ")
_TEMPORARY = re.compile(r"(?:CREATE|REPLACE|CREATE OR REPLACE) TEMPORARY ")
_SYSTEM = re.compile(
    r"SYSTEM (?:(?:START|STOP) (?:MERGES|TTL MERGES|MOVES|VIEWS?)|(?:REFRESH|WAIT|CANCEL|PAUSE|RESUME) VIEW|FLUSH LOGS|SYNC MERGES)\b"
)
_PHRASES_REFUSED = re.compile(r"(?:INTO OUTFILE|FROM INFILE|PARALLEL WITH|(?:FETCH|EXPORT) PART(?:ITION)?)\b")
_SIGNALS_THREADS = re.compile(r"\bsystem\.stack_trace\b", re.I)
# `default` is there only because chDB wants one, and is made anew, empty, at every start.
_DEFAULT_DATABASE = re.compile(r"(?:^USE |\bDATABASE (?:IF (?:NOT )?EXISTS )?|\b(?=default\.))default\b")
_ENGINES_OWN = re.compile(
    r"(?:DROP|TRUNCATE|RENAME|EXCHANGE|ALTER) .*(?:DATABASE (?:IF EXISTS )?|\b(?=\w+\.))(?:system|information_schema)\b", re.I
)

_TABLE_NAME = 4  # INSERT, INTO and two blanks come before it
_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[A-Za-z_]\w*|\s+|.", re.S)


@dataclass(frozen=True, slots=True)
class Statement:
    """One judged statement. `body` is the canonical text without its FORMAT clause, `format` that clause's name or None."""

    verb: str
    body: str
    format: str | None
    has_totals: bool

    @property
    def reads(self) -> bool:
        """Whether it leaves everything as it is."""
        return self.verb in READS

    @property
    def selects(self) -> bool:
        return self.verb in {"SELECT", "WITH"}

    @property
    def makes_temporary(self) -> bool:
        """Whether it makes a table that lives as long as its session."""
        return _TEMPORARY.match(self.body) is not None

    def from_file(self, path: str) -> str:
        """An INSERT that was given rows as the one that reads them from `path`."""
        tokens = _TOKEN.findall(self.body)
        settings = next((position for position, token in _top_level(tokens) if token == "SETTINGS" and position > _TABLE_NAME), len(tokens))
        target = "".join(tokens[:settings]).rstrip()
        return f"{target} FROM INFILE '{path}' COMPRESSION 'none' {''.join(tokens[settings:])} FORMAT {self.format}"


def judge(canonical: str, vocabulary: Vocabulary) -> Statement:
    """Read `canonical` as a Statement. Raises EngineError (497, 73) when it would reach files, processes or the network."""
    tokens = _TOKEN.findall(canonical)
    _check_names(tokens, vocabulary)
    verb = canonical.lstrip("( ").partition(" ")[0]
    text = "".join("''" if token.startswith("'") else token.strip("`") for token in tokens)
    _check_clauses(text, verb)
    body, format_name = _split_format(canonical, tokens)
    if format_name is not None:
        vocabulary.check_format(format_name)
    return Statement(verb, body, format_name, has_totals=" WITH TOTALS" in text)


def check_calls(canonical: str, vocabulary: Vocabulary) -> None:
    """Raises EngineError (497) for calls, engines and settings in a canonical text that are not on the lists."""
    _check_names(_TOKEN.findall(canonical), vocabulary)


def _check_names(tokens: list[str], vocabulary: Vocabulary) -> None:
    names = [token.strip("`") for token in tokens]
    for position, name in enumerate(names):
        following = names[position + 1 : position + 5]
        if following[:1] == ["("] and name.lower() in vocabulary.refused_calls:
            raise refused(f"{name}()")
        if following[:2] != [" ", "="]:
            continue
        if tokens[position] == "ENGINE" and following[-1] not in ENGINES:
            raise refused(f"the engine {following[-1]}")
        if names_files(name) or (tokens[0] == "SET" and changes_parser(name)):
            raise refused(f"the setting {name}")


def _check_clauses(text: str, verb: str) -> None:
    """`text` has neither strings nor quotes."""
    phrase = _PHRASES_REFUSED.search(text) or _SIGNALS_THREADS.search(text)
    if phrase:
        raise refused(phrase.group())
    if (verb == "USE" or verb not in READS) and _DEFAULT_DATABASE.search(text):
        raise refused("the database default is kept empty, use telemetry")
    if _ENGINES_OWN.match(text):
        raise refused("a change of the engine's own tables")
    if verb in {"CREATE", "REPLACE"}:
        allowed = _CREATES.match(text) is not None
    elif verb == "SYSTEM":
        allowed = _SYSTEM.match(text) is not None
    else:
        allowed = verb in READS or verb in _WRITES
    if not allowed:
        raise refused(" ".join(text.split(" ")[:2]))


def _split_format(canonical: str, tokens: list[str]) -> tuple[str, str | None]:
    """FORMAT is a clause only at the end of a statement, before or after its SETTINGS."""
    for position, token in _top_level(tokens):
        if token == "FORMAT" and tokens[position + 1 : position + 2] == [" "]:
            before, name, after = "".join(tokens[:position]), tokens[position + 2], "".join(tokens[position + 3 :])
            if not after or after.startswith(" SETTINGS "):
                return before.rstrip() + after, name.strip("`")
    return canonical, None


def _top_level(tokens: list[str]) -> Iterator[tuple[int, str]]:
    """(position, token) of what is in no parentheses."""
    depth = 0
    for position, token in enumerate(tokens):
        depth += (token == "(") - (token == ")")
        if depth == 0:
            yield position, token
