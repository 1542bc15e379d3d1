"""`make fuzz`: the laws of decode and intake, and a real gateway, for FUZZ_SECONDS (default 300), each round from other seeds.

Ends with the smallest input that breaks a law, and exit status 1, as soon as one is found.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, settings

_EXAMPLES: Final = 400


def laws() -> list[Callable[[], object]]:
    """Every test function of the modules that hold laws about bytes that come from anybody."""
    from tests.laws import test_decode, test_decode_poison
    from tests.unit.gateway import test_intake_laws

    modules = (test_decode_poison, test_decode, test_intake_laws)
    return [law for module in modules for name, law in vars(module).items() if name.startswith("test_")]


async def main(seconds: float) -> None:
    """Rounds until the time is over; raises what a broken law raises."""
    from tests.integration.gateway.process import gateway_process
    from tests.integration.gateway.test_fuzz import NO_KAFKA, address_of, fuzz, leaves_no_trace

    ends_at, rounds = time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as directory:
        async with gateway_process(NO_KAFKA, Path(directory)) as gateway:
            while time.monotonic() < ends_at:
                for law in laws():
                    law()
                await asyncio.to_thread(fuzz, address_of(gateway), _EXAMPLES)
                leaves_no_trace(gateway)
                rounds += 1
                sys.stdout.write(f"round {rounds}: {len(laws()) + 1} laws hold for {_EXAMPLES} inputs each\n")
                sys.stdout.flush()


if __name__ == "__main__":
    settings.register_profile("fuzz", max_examples=_EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    settings.load_profile("fuzz")
    asyncio.run(main(float(os.environ.get("FUZZ_SECONDS", "300"))))
