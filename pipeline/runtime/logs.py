"""Log lines: one JSON object each on stdout, with the role, without secrets; the lines of libraries included."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

import orjson
import structlog
from pydantic import BaseModel, SecretStr
from structlog.types import EventDict, Processor, WrappedLogger

from pipeline.runtime import metrics
from pipeline.runtime.errors import TelemetryError

_SECRET_KEY = re.compile(r"password|secret|token|authorization|routing_key|write_key|pepper|dsn", re.IGNORECASE)
_USERINFO = re.compile(r"(\w+://)[^/\s:@]*:[^/\s@]+@")
_QUERY_KEY = re.compile(r"([?&]key=)[^&\s\"']+")
_HIDDEN = "***"
_RESERVED = {*vars(logging.makeLogRecord({})), "message", "asctime"} - {"exc_info", "stack_info"}


def configure_logs(role: str, secrets: Iterable[str] = (), *, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every log line of the process, structlog's and the standard library's, to `stream` (stdout).

    Args:
        role: stands in each line, e.g. "worker".
        secrets: values that must not appear anywhere in a line, whoever logs them.
        level: lines below it are not written.
        stream: where to, stdout unless a test says otherwise.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _rename_reserved,
            structlog.stdlib.render_to_log_kwargs,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    pre_chain: list[Processor] = [
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_role(role),
        _no_traceback_for_expected,
        structlog.processors.format_exc_info,
        _redact(secrets),
    ]
    handler = logging.StreamHandler(stream or sys.stdout)
    render: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=pre_chain, processors=render))
    handler.addFilter(RateLimit("aiokafka"))  # its producer logs 10,000 lines a second while the broker is away
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    logging.captureWarnings(True)


def secrets_of(value: Any) -> Iterator[str]:
    """Every secret value inside settings."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        yield from secrets_of(list(value.__dict__.values()))
    elif isinstance(value, dict):
        yield from secrets_of(list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from secrets_of(item)


class RateLimit(logging.Filter):
    """Lets `burst` lines of each template through per `window_s`, from loggers below `prefix`; the next line says how many were not."""

    def __init__(self, prefix: str, burst: int = 5, window_s: float = 10.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.prefix, self.burst, self.window_s, self.monotonic = prefix, burst, window_s, monotonic
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.split(".", 1)[0] != self.prefix:
            return True
        key = (record.name, str(record.msg)[:200])  # templates: a bounded number
        now = self.monotonic()
        began_at, count = self._seen.get(key, (now, 0))
        if now - began_at >= self.window_s:
            if count > self.burst:
                record.dropped_lines = count - self.burst
            began_at, count = now, 0
        self._seen[key] = (began_at, count + 1)
        if count >= self.burst:
            metrics.LOG_LINES_DROPPED.labels(self.prefix).inc()
            return False
        return True


class Redactor:
    """Hides secrets: values under telling keys, credentials in addresses, and the `secrets` given, wherever they stand."""

    def __init__(self, secrets: Iterable[str]) -> None:
        values = sorted((re.escape(secret) for secret in secrets if secret), key=len, reverse=True)
        self._values = re.compile("|".join(values)) if values else None

    def text(self, text: str) -> str:
        text = _QUERY_KEY.sub(rf"\1{_HIDDEN}", _USERINFO.sub(rf"\1{_HIDDEN}@", text))
        return text if self._values is None else self._values.sub(_HIDDEN, text)

    def clean(self, value: Any) -> Any:
        """The same value, nested as it was, without secrets; what is neither a number nor a container becomes text."""
        if value is None or isinstance(value, int | float):
            return value
        if isinstance(value, dict):
            return {key: _HIDDEN if _SECRET_KEY.search(str(key)) else self.clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.clean(item) for item in value]
        return self.text(str(value))


def _add_role(role: str) -> Processor:
    def add(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        event["role"] = role
        return event

    return add


def _rename_reserved(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """The standard library raises when a field is named like one of its own ("name", "args", "process")."""
    return {f"{key}_" if key in _RESERVED else key: value for key, value in event.items()}


def _redact(secrets: Iterable[str]) -> Processor:
    redactor = Redactor(secrets)
    return lambda logger, name, event: redactor.clean(dict(event))


def _no_traceback_for_expected(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """An error of our own classes is explained by its line; only a bug needs the stack."""
    info = event.get("exc_info")
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if isinstance(error, TelemetryError):
        del event["exc_info"]
        event.setdefault("error", str(error))
    return event


def _render(logger: WrappedLogger, name: str, event: EventDict) -> str:
    return orjson.dumps(event, default=str).decode()
