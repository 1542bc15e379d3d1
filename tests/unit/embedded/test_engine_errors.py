from __future__ import annotations

import pytest

from pipeline.embedded.engine_errors import EngineError


@pytest.mark.parametrize(
    ("raised", "number", "text"),
    [
        (
            "Streaming query failed: Code: 395. DB::Exception: Value passed. (FUNCTION_THROW)",
            395,
            "Code: 395. DB::Exception: Value passed. (FUNCTION_THROW)",
        ),
        (
            "Code: 26. DB::Exception: Code: 26. DB::Exception: Cannot parse: (at row 3)\n: (in file/uri /dev/fd/18): While executing "
            "JSONEachRowRowInputFormat: While executing File: data for INSERT was parsed from file. (CANNOT_PARSE)",
            26,
            "Code: 26. DB::Exception: Cannot parse: (at row 3)\n: While executing JSONEachRowRowInputFormat. (CANNOT_PARSE)",
        ),
        ("something else", 1002, "Code: 1002. DB::Exception: something else. (UNKNOWN_EXCEPTION)"),
        ("", 1002, "Code: 1002. DB::Exception: RuntimeError. (UNKNOWN_EXCEPTION)"),
    ],
)
def test_text_of_chdb(raised: str, number: int, text: str) -> None:
    """The engine's own number and words are kept, and how we asked it is not shown."""
    error = EngineError.from_chdb(RuntimeError(raised))
    assert (error.number, str(error)) == (number, text)


@pytest.mark.parametrize(("number", "status"), [(62, 400), (60, 404), (516, 403), (159, 408), (202, 503), (48, 501), (395, 500)])
def test_status(number: int, status: int) -> None:
    """As a server's."""
    assert EngineError(number, "x").http_status == status
