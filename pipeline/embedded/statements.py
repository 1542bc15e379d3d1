"""What a statement may do: judged on the engine's own canonical text of it, never on what the client typed.

The canonical text (`formatQuerySingleLine`) has no comments, one spelling of every keyword and quoted name, and is one statement;
a call is always `name(` without a space. So names of calls, engines and formats can be read off it with a small tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from pipeline.embedded.engine_errors import EngineError

# Everything else the engine has (file, url, s3, remote, executable, python, mysql, …) reaches files, processes or the network.
TABLE_FUNCTIONS = frozenset(
    {
        *("dictionary", "format", "generate_series", "generaterandom", "generateseries", "input", "loop", "merge", "mergetreeindex"),
        *("mergetreeprojection", "null", "numbers", "numbers_mt", "primes", "sqlstandardvalues", "values", "view", "viewifpermitted"),
        *("zeros", "zeros_mt"),
    }
)
ENGINES = frozenset(
    {
        *("MergeTree", "ReplacingMergeTree", "SummingMergeTree", "AggregatingMergeTree", "CollapsingMergeTree"),
        *("VersionedCollapsingMergeTree", "CoalescingMergeTree", "Memory", "Null", "Buffer", "Log", "TinyLog", "StripeLog", "Set", "Join"),
        *("Merge", "View", "MaterializedView", "GenerateRandom", "Atomic"),
    }
)
# `file` reads any file, `disk` is a custom disk at any path, hasColumnInTable can ask a remote host, the AI ones call out.
FUNCTIONS_REFUSED = frozenset({"file", "disk", "hascolumnintable", "catboostevaluate", "showcertificate", "trap", "getclienthttpheader"})
FORMATS_REFUSED = re.compile(r"template|protobuf|capnproto|avroconfluent", re.I)  # they read schema files or ask a registry
FILE_SETTINGS = re.compile(
    r"format_schema|format_template_|output_format_schema|input_format_record_errors_file_path|format_avro_schema_registry", re.I
)
PARSER_SETTINGS = re.compile(r"dialect|allow_python_table_function|allow_experimental_eval|allow_introspection_functions", re.I)
TABLES_REFUSED = re.compile(r"\bsystem\.`?stack_trace\b", re.I)  # it signals every thread of the process

READS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "EXISTS", "EXPLAIN", "USE"})
WRITES = frozenset(
    {"INSERT", "DROP", "TRUNCATE", "ALTER", "RENAME", "EXCHANGE", "OPTIMIZE", "DELETE", "UPDATE", "CHECK", "SET", "KILL", "UNDROP"}
)
CREATES = re.compile(r"(?:CREATE|REPLACE|CREATE OR REPLACE) (?:TEMPORARY )?(?:TABLE|VIEW|MATERIALIZED VIEW|DATABASE) ")
SYSTEM = re.compile(
    r"SYSTEM (?:(?:START|STOP) (?:MERGES|TTL MERGES|MOVES|VIEWS?)|(?:REFRESH|WAIT|CANCEL|PAUSE|RESUME) VIEW|FLUSH LOGS|SYNC MERGES)\b"
)
REFUSED_PHRASES = re.compile(r"(?:INTO OUTFILE|FROM INFILE|PARALLEL WITH|FETCH (?:PARTITION|PART)|EXPORT (?:PARTITION|PART))\b")

TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[A-Za-z_]\w*|\s+|.", re.S)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Names the engine knows, in lower case: calls that are refused, and formats that are allowed."""

    refused_calls: frozenset[str]
    formats: frozenset[str]

    @classmethod
    def of_engine(cls, *, table_functions: Iterable[str], outward_functions: Iterable[str], formats: Iterable[str]) -> Vocabulary:
        """A table function that is not on the allow-list is refused, so a newer engine's additions are too."""
        calls = {name.lower() for name in table_functions} - TABLE_FUNCTIONS
        calls |= {name.lower() for name in outward_functions} | FUNCTIONS_REFUSED
        return cls(frozenset(calls), frozenset(name.lower() for name in formats if not FORMATS_REFUSED.match(name)))


@dataclass(frozen=True, slots=True)
class Statement:
    """One judged statement. `body` is the canonical text without its FORMAT clause, `format` that clause's name or None."""

    verb: str
    body: str
    format: str | None
    has_totals: bool

    @property
    def reads(self) -> bool:
        return self.verb in READS

    @property
    def selects(self) -> bool:
        return self.verb in {"SELECT", "WITH"}

    @property
    def changes_session(self) -> bool:
        """Whether a later statement of the same session could tell that this one has run."""
        return self.verb in {"SET", "USE"} or self.body.startswith("CREATE TEMPORARY")


def judge(canonical: str, vocabulary: Vocabulary) -> Statement:
    """Read `canonical` as a Statement. Raises EngineError (497) when it would reach files, processes or the network."""
    words = _outside_strings(canonical)
    text = "".join(words)
    _refuse_outward(text, words, vocabulary)
    body, format_name = _split_format(canonical, words)
    if format_name is not None:
        check_format(format_name, vocabulary)
    verb = canonical.lstrip("( ").partition(" ")[0].rstrip(";")
    if canonical == "USE default" or (verb not in READS and _writes_to_default(words)):
        raise EngineError.of(497, "ACCESS_DENIED", "the database default is kept empty in the embedded engine: use telemetry")
    if verb in {"CREATE", "REPLACE"} and not CREATES.match(canonical):
        raise _refused("this kind of CREATE")
    if verb == "SYSTEM" and not SYSTEM.match(canonical):
        raise _refused("this SYSTEM statement")
    if verb not in READS | WRITES | {"CREATE", "REPLACE", "SYSTEM"}:
        raise _refused(f"{verb} statements")
    return Statement(verb, body, format_name, has_totals=" WITH TOTALS" in text)


def check_format(name: str, vocabulary: Vocabulary) -> None:
    """Raises EngineError (73) for a format that is unknown, or needs files or the network."""
    if name.lower() not in vocabulary.formats:
        raise EngineError.of(73, "UNKNOWN_FORMAT", f"Unknown format {name}, or one that the embedded engine does not offer")


def check_settings(names: Iterable[str]) -> None:
    """Raises EngineError (497) for a setting that names files, or that would change how statements are judged."""
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name):
            raise EngineError.of(36, "BAD_ARGUMENTS", f"{name!r} is not the name of a setting")
        if FILE_SETTINGS.match(name) or PARSER_SETTINGS.search(name):
            raise _refused(f"the setting {name}")


def check_values(canonical: str, vocabulary: Vocabulary) -> None:
    """Raises EngineError when expressions of a VALUES list, given as the canonical text of `SELECT <list>`, reach outwards."""
    words = _outside_strings(canonical)
    _refuse_outward("".join(words), words, vocabulary)


def _outside_strings(canonical: str) -> list[str]:
    return [token if token[0] != "'" else "''" for token in TOKEN.findall(canonical)]


def _refuse_outward(text: str, words: list[str], vocabulary: Vocabulary) -> None:
    for position, (word, following) in enumerate(zip(words, [*words[1:], ""], strict=True)):
        name = word.strip("`")
        if following == "(" and name.lower() in vocabulary.refused_calls:
            raise _refused(f"{name}()")
        if word == "ENGINE" and words[position + 1 : position + 4] == [" ", "=", " "] and words[position + 4].strip("`") not in ENGINES:
            raise _refused(f"the engine {words[position + 4]}")
        if words[position + 1 : position + 3] == [" ", "="] and (
            FILE_SETTINGS.match(name) or (words[0] == "SET" and PARSER_SETTINGS.search(name))
        ):
            raise _refused(f"the setting {name}")
    phrase = REFUSED_PHRASES.search(text) or TABLES_REFUSED.search(text)
    if phrase:
        raise _refused(phrase.group())


def _split_format(canonical: str, words: list[str]) -> tuple[str, str | None]:
    """FORMAT is a clause only at the end of the statement, before or after its SETTINGS."""
    depth, offset = 0, 0
    found: tuple[int, int, str] | None = None
    for position, word in enumerate(TOKEN.findall(canonical)):
        depth += (word == "(") - (word == ")")
        if word == "FORMAT" and depth == 0 and words[position + 1 : position + 2] == [" "]:
            name = words[position + 2]
            end = offset + len("FORMAT ") + len(name)
            if end == len(canonical) or canonical.startswith(" SETTINGS ", end):
                found = (offset, end, name)
        offset += len(word)
    if found is None:
        return canonical, None
    start, end, name = found
    return (canonical[:start].rstrip() + canonical[end:]).strip(), name.strip("`")


def _writes_to_default(words: list[str]) -> bool:
    return any(word.strip("`") == "default" and following == "." for word, following in pairwise(words))


def _refused(what: str) -> EngineError:
    return EngineError.of(497, "ACCESS_DENIED", f"{what} is refused by the embedded engine: it would reach outside its own data")
