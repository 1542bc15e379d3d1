"""POST /v1/events: a request in, 202 once Kafka has its events, or one JSON object that says why not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import structlog
from aiohttp import web

from pipeline.gateway import metrics
from pipeline.gateway.access import Cors, WriteKeys
from pipeline.gateway.admission import BodyAdmission
from pipeline.gateway.body import decompress, encoding_of, is_ndjson, read_body
from pipeline.gateway.bots import BotReason, bot_reasons
from pipeline.gateway.intake import Intake, Rejection, Violation, read_events, read_sent_at
from pipeline.gateway.limits import RateLimit
from pipeline.gateway.publish import Publisher
from pipeline.runtime import web_process
from pipeline.runtime.clock import Clock, NewId
from pipeline.runtime.errors import Reject, RetryAfter
from schemas.modes import mode_of

log = structlog.get_logger(__name__)

PATH: Final = "/v1/events"

#: Status of each code a request can be refused with; 400 for the others.
_STATUS: Final = {
    "unauthorized": 401,
    "body_timeout": 408,
    "body_too_large": 413,
    "too_many_events": 413,
    "too_many_values": 413,
    "unsupported_charset": 415,
    "unsupported_content_type": 415,
    "unsupported_encoding": 415,
}
_EXTRA_HEADERS: Final = {401: {"WWW-Authenticate": "Bearer"}, 415: {"Accept-Encoding": "gzip, zstd"}}


class EventsApi:
    """The handlers of /v1/events; all state is in what it is given."""

    def __init__(self, *, keys: WriteKeys, cors: Cors, publisher: Publisher, clock: Clock, new_id: NewId) -> None:
        self._keys, self._cors, self._publisher, self._clock, self._new_id = keys, cors, publisher, clock, new_id
        self._bodies = BodyAdmission(clock)
        self._rate = RateLimit()

    async def options(self, request: web.Request) -> web.Response:
        """The preflight of a browser."""
        return web.Response(status=204, headers=self._cors.preflight(request.headers.get("Origin")))

    async def post(self, request: web.Request) -> web.Response:
        """Take the events of a request."""
        began_at = self._clock.monotonic()
        try:
            response = await self._take(request)
        except Reject as error:
            response = refusal(_STATUS.get(error.code, 400), error.code, str(error))
        except Exception as error:  # one request's misfortune is not the others'
            log.exception("a request failed", error=type(error).__name__)
            response = refusal(500, "internal_error", "the gateway failed on this request; the operators have been told")
        response.headers.update(self._cors.headers(request.headers.get("Origin")))
        metrics.REQUESTS.labels(str(response.status)).inc()
        metrics.DURATION.observe(self._clock.monotonic() - began_at)
        return response

    async def _take(self, request: web.Request) -> web.Response:
        key = self._keys.check(request.headers.get("Authorization"), request.query.get("key"))
        sender = None if key is None else (key, request.remote)
        if sender is not None and (wait_s := self._rate.wait_s(sender, self._clock.monotonic())) > 0:
            return refusal(429, "rate_limited", "this sender sends too much; slow down, larger batches cost less", retry_after_s=wait_s)
        dry_run = _flag(request, "dry_run")
        reasons = _bot_reasons(request)
        try:
            intake = await self._read(request, reasons)
        except RetryAfter as error:
            return refusal(503, "overloaded", str(error), retry_after_s=error.seconds)
        if sender is not None:
            self._rate.spend(sender, intake.size, self._clock.monotonic())
        if not dry_run:
            try:
                await self._publish(intake)
                _count(intake, reasons)
            except RetryAfter as error:
                return refusal(503, "kafka_unavailable", str(error), retry_after_s=error.seconds)
        return web_process.json_answer(202, _answer(intake))

    async def _read(self, request: web.Request, bot_reasons: Sequence[BotReason]) -> Intake:
        sent_at = read_sent_at(request.query.get("sent_at"))
        ndjson = is_ndjson(_content_type(request), request.charset)
        encoding = encoding_of(request.headers.get("Content-Encoding", ""))
        with self._bodies.reading() as reading:
            body = await read_body(request.content, request.content_length, encoding, reading)
            metrics.BODY_BYTES.inc(len(body))
            document = decompress(body, encoding)
            return read_events(document, ndjson=ndjson, new_id=self._new_id, sent_at=sent_at, bot_reasons=bot_reasons)

    async def _publish(self, intake: Intake) -> None:
        if intake.records:
            await self._publisher.publish(intake.records)


def _bot_reasons(request: web.Request) -> list[BotReason]:
    user_agent, is_page = request.headers.get("User-Agent"), "Origin" in request.headers
    return bot_reasons(user_agent, is_page=is_page, webdriver=_flag(request, "webdriver"))


def _count(intake: Intake, reasons: Sequence[BotReason]) -> None:
    metrics.EVENTS.labels("accepted", "").inc(len(intake.event_ids))
    for rejection in intake.rejected:
        metrics.EVENTS.labels("rejected", rejection.bad.code).inc()
    for violation in intake.violations:
        metrics.VIOLATIONS.labels(violation.bad.event_type, mode_of(violation.bad.event_type)).inc()
    for reason in reasons:
        metrics.BOT_EVENTS.labels(reason).inc(len(intake.event_ids))


def refusal(status: int, code: str, message: str, *, retry_after_s: float | None = None) -> web.Response:
    """An answer that is not 202, with what its status asks for besides."""
    return web_process.refusal(status, code, message, retry_after_s=retry_after_s, headers=_EXTRA_HEADERS.get(status))


def _answer(intake: Intake) -> dict[str, Any]:
    answer = {"accepted": len(intake.event_ids), "event_ids": intake.event_ids, "rejected": [_told(one) for one in intake.rejected]}
    warnings = [_told(one) for one in intake.violations if mode_of(one.bad.event_type) == "warn"]
    return {**answer, "warnings": warnings} if warnings else answer


def _told(one: Rejection | Violation) -> dict[str, Any]:
    errors = [{"field": error.field, "message": error.message} for error in one.bad.errors]
    return {"index": one.index, "event_id": one.event_id, "errors": errors}


def _content_type(request: web.Request) -> str:
    """Without the header aiohttp says application/octet-stream."""
    return request.content_type if "Content-Type" in request.headers else ""


def _flag(request: web.Request, name: str) -> bool:
    value = request.query.get(name)
    if value in (None, "0", "false"):
        return False
    if value in ("", "1", "true"):
        return True
    raise Reject("invalid_parameter", f"{name} is 1 or 0")
