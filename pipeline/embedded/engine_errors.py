"""Errors as ClickHouse words them, with its own numbers, and the HTTP status its server gives each."""

from __future__ import annotations

import re

from pipeline.runtime.errors import Reject

_CODE = re.compile(r"Code: (\d+)\.")
_REPEATED = re.compile(r"^(Code: \d+\. DB::Exception: )\1+")
_WHERE_READ = re.compile(r": \(in file/uri [^)]*\)|: While executing File: data for INSERT was parsed from file")

# ClickHouse's exceptionCodeToHTTPStatus; what is not listed is 500.
_STATUS = {
    **dict.fromkeys((194,), 401),
    **dict.fromkeys((192, 193, 516, 497, 164), 403),
    **dict.fromkeys((6, 25, 26, 27, 33, 36, 38, 41, 42, 43, 44, 53, 62, 69, 70, 72, 89, 117, 271, 372, 373, 376, 452, 456, 457), 400),
    **dict.fromkeys((16, 46, 47, 50, 56, 60, 63, 73, 81, 115), 404),
    **dict.fromkeys((159, 160), 408),
    **dict.fromkeys((202, 439), 503),
    48: 501,
    307: 413,
    241: 507,
    243: 507,
}


class EngineError(Reject):
    """A statement the engine, or the judge before it, refused: answer with `number` and the text, do not retry unchanged."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__("clickhouse_error", message)
        self.number = number

    @classmethod
    def of(cls, number: int, name: str, text: str) -> EngineError:
        """One in ClickHouse's wording: `Code: 62. DB::Exception: text. (SYNTAX_ERROR)`."""
        return cls(number, f"Code: {number}. DB::Exception: {text}. ({name})")

    @classmethod
    def from_chdb(cls, error: BaseException) -> EngineError:
        """What chDB raised, in the engine's words only; 1002 when it gave no number."""
        text = str(error).strip()
        found = _CODE.search(text)
        if found is None:
            return cls.of(1002, "UNKNOWN_EXCEPTION", text or type(error).__name__)
        text = _REPEATED.sub(r"\1", _WHERE_READ.sub("", text[found.start() :]))
        return cls(int(found.group(1)), text)

    @property
    def http_status(self) -> int:
        return _STATUS.get(self.number, 500)
