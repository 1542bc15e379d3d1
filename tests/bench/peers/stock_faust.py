"""A stock Faust agent in its fastest honest form, with less work than the others. THE FIXED BASELINE: DO NOT CHANGE THIS FILE.

Ratios of other runs and other days are ratios to this one. That is why it imports nothing of the project, not even its schemas.

It validates each event with pydantic (TypedDicts, the quicker kind), counts into 10 s panes in memory by type, and writes rows in batches
while it goes on reading. It does not: find repeats, make histograms, publish or store panes, tie commits to what was written. Faust is
as installed, with its Cython parts; no web server, no leader topic, long stream buffer, large fetches.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import os
from collections import Counter
from contextlib import suppress
from typing import Annotated, Any, Literal, NotRequired
from urllib.parse import urlsplit

import clickhouse_connect
import faust
import orjson
from pydantic import AwareDatetime, Field, TypeAdapter
from typing_extensions import TypedDict

ROWS = 20_000
AGE_S = 0.2
COLUMNS = (
    "event_id", "event_type", "occurred_at", "received_at", "service", "version", "environment", "user_id", "session_id", "trace_id",
    "flags", "properties", "kafka_partition", "kafka_offset", "sent_at",
)  # fmt: skip

Text = Annotated[str, Field(min_length=1, max_length=200)]
Duration = Annotated[float, Field(ge=0, le=3_600_000)]


class Source(TypedDict):
    service: Text
    version: NotRequired[Text]
    environment: Text


class Trace(TypedDict):
    trace_id: Text
    span_id: NotRequired[Text]


class Envelope(TypedDict):
    event_id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
    schema_version: Literal[1]
    occurred_at: AwareDatetime
    source: Source
    user_id: NotRequired[Text]
    session_id: NotRequired[Text]
    trace: NotRequired[Trace]
    flags: NotRequired[dict[Text, Text]]


class MenuProperties(TypedDict):
    recipe_count: Annotated[int, Field(ge=0, le=10_000)]
    restrictions: list[Text]
    generation_time_ms: Duration
    outcome: Literal["full", "degraded", "failed"]
    provider: NotRequired[Text]


class MenuGenerated(Envelope):
    event_type: Literal["menu_generated"]
    properties: MenuProperties


class RecipeProperties(TypedDict):
    recipe_id: Text
    time_spent_ms: NotRequired[float]


class RecipeView(Envelope):
    event_type: Literal["recipe_view"]
    properties: RecipeProperties


class VitalProperties(TypedDict):
    name: Literal["LCP", "INP", "CLS", "FCP", "TTFB", "FID"]
    value: Duration
    rating: Literal["good", "needs-improvement", "poor"]
    page: Text
    metric_id: NotRequired[Text]


class WebVital(Envelope):
    event_type: Literal["web_vital"]
    properties: VitalProperties


class ExposureProperties(TypedDict):
    flag: Text
    variant: Text


class FeatureExposure(Envelope):
    event_type: Literal["feature_exposure"]
    properties: ExposureProperties


class RequestProperties(TypedDict):
    method: Text
    route: Text
    status_code: Annotated[int, Field(ge=100, le=599)]
    duration_ms: Duration


class ApiRequest(Envelope):
    event_type: Literal["api_request"]
    properties: RequestProperties


Event = Annotated[MenuGenerated | RecipeView | WebVital | FeatureExposure | ApiRequest, Field(discriminator="event_type")]
validate = TypeAdapter(Event).validate_json

app = faust.App(
    "stock-faust",
    broker=f"kafka://{os.environ['BENCH_KAFKA']}",
    web_enabled=False,
    topic_allow_declare=False,
    topic_disable_leader=True,
    stream_buffer_maxsize=65_536,
    stream_wait_empty=False,
    broker_max_poll_records=10_000,
    consumer_auto_offset_reset="earliest",
    consumer_max_fetch_size=4 << 20,
    broker_session_timeout=60,
)
topic = app.topic("nutricoach.telemetry.events.v1", key_type=bytes, value_type=bytes, value_serializer="raw")
panes: Counter[tuple[str, int]] = Counter()
rows: list[tuple[Any, ...]] = []
full = asyncio.Event()


@app.agent(topic)
async def count(stream: Any) -> None:
    async for value in stream:
        event = validate(value)
        message = stream.current_event.message
        occurred_s = event["occurred_at"].timestamp()
        event_type, source, trace = event["event_type"], event["source"], event.get("trace")
        panes[(event_type, int(occurred_s) // 10)] += 1
        rows.append(
            (
                event["event_id"],
                event_type,
                occurred_s,
                message.timestamp,
                source["service"],
                source.get("version"),
                source["environment"],
                event.get("user_id"),
                event.get("session_id"),
                trace["trace_id"] if trace else None,
                event.get("flags"),
                orjson.dumps(event["properties"]).decode(),
                message.partition,
                message.offset,
                occurred_s,
            )
        )
        if len(rows) >= ROWS:
            full.set()


@app.task
async def write() -> None:
    url = urlsplit(os.environ["BENCH_CLICKHOUSE"])
    client = clickhouse_connect.get_client(
        host=url.hostname,
        port=url.port,
        username=os.environ["BENCH_CLICKHOUSE_USER"],
        password=os.environ["BENCH_CLICKHOUSE_PASSWORD"],
        database="telemetry",
        compress=False,
        autogenerate_session_id=False,
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    while not app.should_stop:
        with suppress(TimeoutError):
            await asyncio.wait_for(full.wait(), AGE_S)
        full.clear()
        if rows:
            block = orjson.dumps(rows)[1:-1]
            rows.clear()
            await asyncio.to_thread(client.raw_insert, "events_raw", COLUMNS, block, fmt="JSONCompactEachRow")


@atexit.register
def say_panes() -> None:
    """The counts, once it has been told to end: [type, start in ms, count]."""
    with open(os.environ["BENCH_PANES"], "w", encoding="utf-8") as file:
        json.dump([[event_type, ten_s * 10_000, n] for (event_type, ten_s), n in panes.items()], file)


if __name__ == "__main__":
    app.main()
