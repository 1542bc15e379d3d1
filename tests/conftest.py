"""Fixtures every test may ask for: a real broker and a real engine, one of each per run."""

from __future__ import annotations

from tests.stack_fixtures import clickhouse, kafka

__all__ = ["clickhouse", "kafka"]
