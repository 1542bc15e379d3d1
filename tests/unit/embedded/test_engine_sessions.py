from __future__ import annotations

import pytest

from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.engine_sessions import MAX_SESSIONS, Session, Sessions


class Time:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def acquire(sessions: Sessions, session_id: str = "a", *, reader: bool = False, must_exist: bool = False) -> Session:
    return sessions.acquire(reader=reader, session_id=session_id, must_exist=must_exist)


def test_same_session_again() -> None:
    """A session is the same until it expires, and its own for reader and writer."""
    time = Time()
    sessions = Sessions(time)
    session = acquire(sessions)
    sessions.release(session, timeout_s=60)
    time.now_s = 59
    assert acquire(sessions, must_exist=True) is session
    assert acquire(sessions, reader=True) is not session


def test_expiry() -> None:
    """After its timeout a session is gone; one in use never is."""
    time = Time()
    sessions = Sessions(time)
    session = acquire(sessions)
    time.now_s = 1000
    with pytest.raises(EngineError) as raised:
        acquire(sessions)
    assert raised.value.number == 373
    sessions.release(session, timeout_s=60)
    time.now_s = 1061
    with pytest.raises(EngineError) as raised:
        acquire(sessions, must_exist=True)
    assert raised.value.number == 372
    assert acquire(sessions) is not session


def test_bound() -> None:
    """Idle sessions that hold nothing make room; when all hold something there is an error."""
    sessions = Sessions(Time())
    for number in range(MAX_SESSIONS):
        session = acquire(sessions, str(number))
        session.database = None if number == 7 else "telemetry"
        sessions.release(session, timeout_s=60)
    kept = acquire(sessions, "one more")
    with pytest.raises(EngineError) as raised:
        acquire(sessions, "too many")
    assert raised.value.number == 202
    assert not kept.set_statements
    with pytest.raises(EngineError):
        acquire(sessions, "7", must_exist=True)
