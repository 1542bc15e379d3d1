"""A real gateway is sent what hypothesis makes up: every request has a proper answer, and nothing of it is in the log."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, given, settings

from tests.integration.gateway.process import GatewayProcess, gateway_process
from tests.poison.http_fuzz import MARKER, REQUESTS, Request, ask

NO_KAFKA: Final = "127.0.0.1:1"
REFUSALS: Final = {400, 401, 408, 413, 415, 429}


def address_of(gateway: GatewayProcess) -> tuple[str, int]:
    host, port = gateway.client.url.removeprefix("http://").split(":")
    return host, int(port)


def leaves_no_trace(gateway: GatewayProcess) -> None:
    """It runs, and its log has neither a stack nor a word of what was sent."""
    assert gateway.process.returncode is None
    assert MARKER not in gateway.log
    assert "Traceback" not in gateway.log


def fuzz(address: tuple[str, int], examples: int) -> None:
    """Raises for the first request without a proper answer, made as small as it gets."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False)
    @given(REQUESTS)
    def has_a_proper_answer(request: Request) -> None:
        status, body = ask(address, request)
        answer = json.loads(body) if body.startswith(b"{") else {}
        if status == 202:
            assert len(answer["event_ids"]) == answer["accepted"]
            assert all(rejection["errors"] for rejection in answer["rejected"])
            return
        assert status in REFUSALS, (status, body)
        assert status == 400 or (answer["error"] and answer["message"])

    has_a_proper_answer()


async def test_an_expectation_that_is_no_text_is_not_an_error(tmp_path: Path) -> None:
    """Expect with a byte that is not ASCII, or with anything but 100-continue, is left out of account."""
    async with gateway_process(NO_KAFKA, tmp_path) as gateway:
        for expected in ("\x80", "200-ok", "100-Continue"):
            request = Request("/v1/events?dry_run=1", (("Expect", expected),), b"[]", chunked=False)
            assert (await asyncio.to_thread(ask, address_of(gateway), request))[0] == 202
        leaves_no_trace(gateway)


async def test_whatever_is_sent_has_a_proper_answer(tmp_path: Path) -> None:
    """Bodies cut, spliced, packed and mislabelled: 202 or a refusal with its reason, never 5xx, never a word of it in the log."""
    async with gateway_process(NO_KAFKA, tmp_path) as gateway:
        await asyncio.to_thread(fuzz, address_of(gateway), 200)
        leaves_no_trace(gateway)
