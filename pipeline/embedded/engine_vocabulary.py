"""Which of the engine's names may be used through HTTP: calls, table engines, formats, settings.

Allow-lists wherever the engine can list its names, so that what a newer engine adds is refused until somebody has looked at it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.embedded.engine_errors import EngineError

# Everything else there is (file, url, s3, remote, executable, python, mysql, …) reaches files, processes or the network.
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
# `file` reads any file, `disk` is a custom disk at any path, hasColumnInTable can ask a remote host, the rest is about the process.
_CALLS_REFUSED = frozenset({"file", "disk", "hascolumnintable", "catboostevaluate", "showcertificate", "trap", "getclienthttpheader"})
_FORMATS_REFUSED = re.compile(r"template|protobuf|capnproto|avroconfluent", re.I)  # they read schema files or ask a registry
_FILE_SETTINGS = re.compile(
    r"format_schema|format_template_|output_format_schema|input_format_record_errors_file_path|format_avro_schema_registry", re.I
)
_PARSER_SETTINGS = re.compile(r"dialect|allow_python_table_function|allow_experimental_eval|allow_introspection_functions", re.I)
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Names in lower case: `refused_calls` are refused wherever they are called, `formats` are those allowed."""

    refused_calls: frozenset[str]
    formats: frozenset[str]

    @classmethod
    def of_engine(cls, *, table_functions: Iterable[str], outward_functions: Iterable[str], formats: Iterable[str]) -> Vocabulary:
        """From the engine's own lists: all table functions, the ordinary functions that reach outwards, all formats."""
        calls = {name.lower() for name in table_functions} - TABLE_FUNCTIONS
        calls |= {name.lower() for name in outward_functions} | _CALLS_REFUSED
        return cls(frozenset(calls), frozenset(name.lower() for name in formats if not _FORMATS_REFUSED.match(name)))

    def check_format(self, name: str) -> None:
        """Raises EngineError (73) for a format that is unknown, or needs files or the network."""
        if name.lower() not in self.formats:
            raise EngineError.of(73, "UNKNOWN_FORMAT", f"Unknown format {name}, or one that the embedded engine does not offer")


def check_settings(names: Iterable[str]) -> None:
    """Raises EngineError: 36 for what cannot be a name, 497 for one that names files or changes how statements are parsed."""
    for name in names:
        if not _SETTING_NAME.fullmatch(name):
            raise EngineError.of(36, "BAD_ARGUMENTS", f"{name!r} is not the name of a setting")
        if names_files(name) or changes_parser(name):
            raise refused(f"the setting {name}")


def names_files(setting: str) -> bool:
    """Whether the value of `setting` is the path of a file or an address."""
    return _FILE_SETTINGS.match(setting) is not None


def changes_parser(setting: str) -> bool:
    """Whether later statements would mean something else than what was judged."""
    return _PARSER_SETTINGS.search(setting) is not None


def refused(what: str) -> EngineError:
    """The error for something a server may offer and this engine does not."""
    return EngineError.of(497, "ACCESS_DENIED", f"{what}: not offered by the embedded engine, which keeps to its own data; use a server")
