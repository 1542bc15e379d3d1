"""Rows of a request's body on their way into a table: in the client's bytes, in pieces, without looking at them."""

from __future__ import annotations

from pipeline.embedded.engine import Engine
from pipeline.embedded.engine_calls import EngineCalls, EngineRequest
from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.engine_handles import Answer, Inserter
from pipeline.embedded.insert_statement import InsertHead
from pipeline.embedded.request_handles import RequestHandles
from pipeline.embedded.statements import check_calls

_VALUES_JUDGED_BYTES = 1 << 20
_NO_EXPRESSIONS = {"input_format_values_interpret_expressions": "0", "input_format_values_deduce_templates_of_expressions": "0"}


async def insert_rows(engine: EngineRequest, calls: EngineCalls, handles: RequestHandles, head: InsertHead, first: bytes) -> Answer:
    """Insert `first` and what else the body brings. Raises EngineError; of the block that fails nothing is kept."""
    calls.engine.vocabulary.check_format(head.format)
    settings: dict[str, str] = {}
    if head.format.lower() == "values":
        first = await _values(handles, first)
        settings = await calls.control(_judged_values, calls.engine, first)
    inserter = await engine.run(_begin, engine, handles, head, settings, first)
    async for piece in handles.query.body:
        await engine.run(inserter.append, piece)
    return await engine.run(inserter.finish)


def _begin(engine: EngineRequest, handles: RequestHandles, head: InsertHead, settings: dict[str, str], first: bytes) -> Inserter:
    handle = handles.prepare(engine)
    handle.configure(settings | {f"param_{name}": value for name, value in handles.query.parameters.items()})
    inserter = handle.insert(head.statement, head.format)
    if first:
        inserter.append(first)
    return inserter


async def _values(handles: RequestHandles, first: bytes) -> bytes:
    """The list, up to a little more than what will be judged."""
    while len(first) <= _VALUES_JUDGED_BYTES:
        piece = await anext(handles.query.body, b"")
        if not piece:
            break
        first += piece
    return first


def _judged_values(engine: Engine, rows: bytes) -> dict[str, str]:
    """VALUES may hold expressions, even subqueries: they are judged like any statement's, or not evaluated at all."""
    if len(rows) > _VALUES_JUDGED_BYTES:
        return _NO_EXPRESSIONS
    try:
        canonical = engine.canonical("SELECT " + rows.decode().strip().rstrip(";"))
    except (EngineError, UnicodeDecodeError):
        return _NO_EXPRESSIONS
    check_calls(canonical, engine.vocabulary)
    return {}
