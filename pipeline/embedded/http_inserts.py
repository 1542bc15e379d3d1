"""Rows of a request's body on their way into a table: received whole, in the client's bytes, then read by the engine in one statement.

So a body that is damaged, cut off or slow never holds up the engine and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from tempfile import TemporaryFile
from typing import BinaryIO

from pipeline.embedded.engine import Engine
from pipeline.embedded.engine_calls import EngineCalls, EngineRequest
from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.engine_handles import Answer
from pipeline.embedded.engine_vocabulary import refused
from pipeline.embedded.request_handles import RequestHandles
from pipeline.embedded.statements import Statement, check_calls

_VALUES_JUDGED_BYTES = 1 << 20
_PARSING = {"input_format_parallel_parsing": "0"}  # in parallel, batches of our size take longer and cost a sixth more
_SYNTAX_ERROR = 62
_NO_EXPRESSIONS = {"input_format_values_interpret_expressions": "0", "input_format_values_deduce_templates_of_expressions": "0"}


async def received(calls: EngineCalls, handles: RequestHandles, first: bytes) -> BinaryIO:
    """`first` and the rest of the body in a nameless file on the data directory's disk. Raises EngineError (243 when it is full)."""
    calls.engine.check_space()
    file = TemporaryFile(dir=calls.engine.path, buffering=0)  # noqa: SIM115  the caller closes it, when the engine has let go of it
    try:
        await calls.spool(_write_all, file, first)
        async for piece in handles.query.body:
            await calls.spool(_write_all, file, piece)
    except OSError as error:
        file.close()
        raise EngineError.of(243, "NOT_ENOUGH_SPACE", f"the body cannot be kept ({error.strerror})") from error
    except BaseException:
        file.close()
        raise
    return file


def _write_all(file: BinaryIO, piece: bytes) -> None:
    """A disk that is about to be full takes a part of a write and says so only by its length; the next write then fails."""
    left = memoryview(piece)
    while left:
        left = left[file.write(left) :]


def insert_rows(request: EngineRequest, handles: RequestHandles, statement: Statement, rows: BinaryIO) -> Answer:
    """Insert all of `rows`. Blocks; raises EngineError, and then nothing of the block that failed is kept (one has a million rows)."""
    forced = _judged_values(handles.engine, statement, rows) if (statement.format or "").lower() == "values" else {}
    rows.seek(0)
    handle = handles.prepare(request, default=_PARSING, forced=forced)
    return handle.query(statement.from_file(f"/dev/fd/{rows.fileno()}"), parameters=handles.query.parameters)


def _judged_values(engine: Engine, statement: Statement, rows: BinaryIO) -> Mapping[str, str]:
    """VALUES may hold expressions, even subqueries: they are judged like any statement's, or not evaluated at all."""
    rows.seek(0)
    text = rows.read(_VALUES_JUDGED_BYTES + 1)
    try:
        if len(text) <= _VALUES_JUDGED_BYTES:
            check_calls(engine.canonical("SELECT " + text.decode().strip().rstrip(";")), engine.vocabulary)
            return {}
    except UnicodeDecodeError:
        pass
    except EngineError as error:
        if error.number != _SYNTAX_ERROR:
            raise
    if "input_format_values_" in statement.body:
        raise refused("a setting of VALUES with a list that cannot be judged")
    return _NO_EXPRESSIONS
