from __future__ import annotations

import asyncio
import urllib.error
from concurrent.futures import CancelledError as FutureCancelled
from email.message import Message
from typing import Any

import aiohttp
import pytest
import requests
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from pipeline.sdk.attempt import Attempt, classify
from pipeline.sdk.methods import EventMethods
from tests.unit.sdk.clock import ManualClock


class Recorded(EventMethods):
    def __init__(self) -> None:
        self.properties: list[dict[str, Any]] = []

    def _capture(self, event_type: str, fields: Any) -> None:
        assert event_type == "provider_attempt"
        self.properties.append(fields)


def named(name: str, base: type[Exception] = Exception) -> Exception:
    error: Exception = type(name, (base,), {})("said so")
    return error


def with_cause(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def http_error(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


def aiohttp_error(status: int) -> aiohttp.ClientResponseError:
    url = URL("http://provider/")
    info = aiohttp.RequestInfo(url, "POST", CIMultiDictProxy(CIMultiDict()), url)
    return aiohttp.ClientResponseError(info, (), status=status)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TimeoutError(), "timeout"),
        (aiohttp.ServerTimeoutError(), "timeout"),
        (aiohttp.ConnectionTimeoutError(), "timeout"),
        (requests.ReadTimeout(), "timeout"),
        (requests.ConnectTimeout(), "timeout"),
        (named("ReadTimeout", named("TimeoutException").__class__), "timeout"),  # httpx
        (named("APITimeoutError"), "timeout"),  # openai, anthropic
        (named("DeadlineExceeded"), "timeout"),  # google.api_core
        (asyncio.CancelledError(), "timeout"),
        (FutureCancelled(), "timeout"),
        (http_error(408), "timeout"),
        (aiohttp_error(504), "timeout"),
        (http_error(401), "denied"),
        (aiohttp_error(402), "denied"),
        (http_error(403), "denied"),
        (aiohttp_error(429), "denied"),
        (urllib.error.HTTPError("http://provider/", 429, "slow down", Message(), None), "denied"),
        (named("CircuitBreakerError"), "breaker_open"),  # pybreaker, circuitbreaker, aiobreaker
        (named("OpenedState"), "breaker_open"),  # purgatory
        (RuntimeError("Circuit breaker OPEN"), "breaker_open"),  # the seed's
        (http_error(500), "error"),
        (aiohttp_error(404), "error"),
        (ConnectionRefusedError(111, "refused"), "error"),
        (ValueError("no menu in the answer"), "error"),
        (with_cause(RuntimeError("the provider failed"), TimeoutError()), "timeout"),
        (with_cause(RuntimeError("the provider failed"), with_cause(ValueError("x"), http_error(429))), "denied"),
        (with_cause(http_error(403), TimeoutError()), "denied"),
    ],
)
def test_an_exception_decides_the_outcome(error: BaseException, outcome: str) -> None:
    """Timeouts, refusals and open breakers of common libraries are told apart from other errors, wrapped ones too."""
    assert classify(error) == outcome


def test_it_measures_a_success() -> None:
    """The block's time is the latency, in ms; nothing is said about an error."""
    recorded, clock = Recorded(), ManualClock()
    with Attempt(recorded, clock, "ollama", 0, {"user_id": "u-42"}):
        clock.at_s += 1.25
    expected = {"provider": "ollama", "position": 0, "outcome": "success", "latency_ms": 1250.0, "error_type": None, "user_id": "u-42"}
    assert recorded.properties == [expected]


async def test_the_exception_goes_on_unchanged() -> None:
    """`with` and `async with` report the error and let it pass as it is."""
    recorded, clock, error = Recorded(), ManualClock(), ConnectionResetError("gone")
    with pytest.raises(ConnectionResetError) as raised, Attempt(recorded, clock, "ollama", None, {}):
        raise error
    with pytest.raises(ConnectionResetError) as raised_async:
        async with Attempt(recorded, clock, "ollama", None, {}):
            raise error
    assert raised.value is raised_async.value is error
    assert [(one["outcome"], one["error_type"]) for one in recorded.properties] == [("error", "ConnectionResetError")] * 2


def test_the_block_may_say_the_outcome_itself() -> None:
    """What no exception tells is set in the block, and wins over the exception."""
    recorded, clock = Recorded(), ManualClock()
    with Attempt(recorded, clock, "claude", 1, {}) as attempt:
        attempt.outcome, attempt.error_type = "breaker_open", "Skipped"
    over_quota = Attempt(recorded, clock, "claude", 1, {})
    over_quota.outcome = "denied"
    with pytest.raises(ValueError, match="quota"), over_quota:
        raise ValueError("quota")
    assert [(one["outcome"], one["error_type"]) for one in recorded.properties] == [("breaker_open", "Skipped"), ("denied", "ValueError")]


async def test_waiting_too_long_around_the_attempt_is_a_timeout() -> None:
    """`asyncio.timeout` outside the block cancels what is inside: the provider did not answer in time, and that is seen."""
    recorded = Recorded()

    async def ask() -> None:
        async with asyncio.timeout(0), Attempt(recorded, ManualClock(), "ollama", 0, {}):
            await asyncio.sleep(10)

    with pytest.raises(TimeoutError):
        await ask()
    assert [(one["outcome"], one["error_type"]) for one in recorded.properties] == [("timeout", "CancelledError")]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_the_end_of_the_process_is_not_the_providers(error: BaseException) -> None:
    """What ends the caller makes no event."""
    recorded = Recorded()
    with pytest.raises(type(error)), Attempt(recorded, ManualClock(), "ollama", 0, {}):
        raise error
    assert recorded.properties == []
