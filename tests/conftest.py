"""Fixtures every test may ask for: a real broker and a real engine, one of each per run."""

from __future__ import annotations

import signal

from tests.stack_fixtures import clickhouse, kafka

__all__ = ["clickhouse", "kafka"]

# A shell without job control starts what runs in the background deaf to Ctrl-C, and the processes of tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
