"""The parts of the benchmark, in the order they run: name to module and function."""

from __future__ import annotations

from typing import Final

SECTIONS: Final[dict[str, tuple[str, str]]] = {
    "compare": ("tests.bench.compare", "section"),
    "every_metric": ("tests.bench.every_metric", "section"),
    "latency": ("tests.bench.latency", "section"),
    "gateway": ("tests.bench.gateway_load", "section"),
    "sdk": ("tests.bench.sdk", "section"),
    "growth": ("tests.bench.growth", "section"),
    "users": ("tests.bench.users", "section"),
    "scaling": ("tests.bench.scaling", "section"),
}
