"""HTTP sessions: what SET, USE and temporary tables leave behind for the next request with the same session_id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.engine_handles import Handle

MAX_SESSIONS = 1_000


@dataclass(slots=True)
class Session:
    """`set_statements` is what SET left, in order; `handle` is kept only for the temporary tables in it."""

    set_statements: list[str] = field(default_factory=list)
    database: str | None = None
    handle: Handle | None = None
    expires_at_s: float = 0.0
    in_use: bool = False

    @property
    def holds_nothing(self) -> bool:
        return not self.set_statements and self.database is None and self.handle is None


class Sessions:
    """All sessions, of readers and of the writer apart; for the event loop only."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._sessions: dict[tuple[bool, str], Session] = {}

    def acquire(self, *, reader: bool, session_id: str, must_exist: bool) -> Session:
        """Raises EngineError: 372 when it must exist and does not, 373 while another request uses it, 202 when there are too many."""
        self._drop_expired()
        session = self._sessions.get((reader, session_id))
        if session is None:
            if must_exist:
                raise EngineError.of(372, "SESSION_NOT_FOUND", f"Session {session_id} not found")
            self._make_room()
            session = self._sessions[(reader, session_id)] = Session()
        if session.in_use:
            raise EngineError.of(373, "SESSION_IS_LOCKED", f"Session {session_id} is locked by a concurrent client")
        session.in_use = True
        return session

    def release(self, session: Session, timeout_s: float) -> None:
        """Let the next request have it; without one it ends after `timeout_s`."""
        session.in_use = False
        session.expires_at_s = self._monotonic() + timeout_s

    def close(self) -> None:
        """Forget all, and the temporary tables of those that are not in use."""
        for session in self._sessions.values():
            if session.handle is not None and not session.in_use:
                session.handle.close()
        self._sessions.clear()

    def _make_room(self) -> None:
        if len(self._sessions) < MAX_SESSIONS:
            return
        idle = next((key for key, session in self._sessions.items() if not session.in_use and session.holds_nothing), None)
        if idle is None:
            raise EngineError.of(202, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many sessions: close some, or send no session_id")
        del self._sessions[idle]

    def _drop_expired(self) -> None:
        now = self._monotonic()
        for key, session in list(self._sessions.items()):
            if not session.in_use and session.expires_at_s < now:
                del self._sessions[key]
                if session.handle is not None:
                    session.handle.close()
