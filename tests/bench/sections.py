"""The parts of the benchmark, in the order they run: name to module and function."""

from __future__ import annotations

from typing import Final

SECTIONS: Final[dict[str, tuple[str, str]]] = {
    "compare": ("tests.bench.compare", "section"),
}
