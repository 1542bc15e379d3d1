"""What it costs to feed every metric there is: our worker and the plain loop, each on the usual mix of events and on all event types."""

from __future__ import annotations

import time
from statistics import median
from typing import Final, get_args

from tests.bench.bench import Bench, Row
from tests.bench.compare import LOOP, OURS, WARM_UP, load_of, reckon, run
from tests.bench.events import Mix, Spec
from tests.bench.figures import Run

_CONTESTANTS: Final = (OURS, LOOP)


def section(bench: Bench) -> dict[str, list[Row]]:
    """`every_metric`: a row per mix, medians over BENCH_ROUNDS interleaved rounds; `of_loop` is taken within each round."""
    start_ms = int(time.time() * 1000) - 1000 * bench.events // Spec(0, 0).per_s
    bench.rig.reset()
    runs: dict[tuple[Mix, str], list[Run]] = {}
    mixes: tuple[Mix, ...] = get_args(Mix)
    loads = {
        mix: (
            load_of(bench.rig, Spec(WARM_UP, start_ms - 10_000, seed=1, mix=mix)),
            load_of(bench.rig, Spec(bench.events, start_ms, mix=mix)),
        )
        for mix in mixes
    }
    reckonings = {mix: reckon(*both) for mix, both in loads.items()}
    for number in range(1, bench.rounds + 1):
        for mix in mixes:
            for contestant in _CONTESTANTS if number % 2 else _CONTESTANTS[::-1]:
                one = run(bench.rig, contestant, number, *loads[mix], reckonings[mix])
                runs.setdefault((mix, contestant.who), []).append(one)
                bench.say(f"round {number}  {mix:9} {one.who:20} {one.wrong or f'{one.cpu_us_per_event:6.1f} us'}")
    return {"every_metric": [_row(mix, runs[mix, OURS.who], runs[mix, LOOP.who]) for mix in mixes]}


def _row(mix: Mix, ours: list[Run], loop: list[Run]) -> Row:
    wrong = next((one.wrong for one in (*ours, *loop) if one.wrong), "")
    if wrong:
        return {"mix": mix, "invalid": wrong}
    of_loop = [one.cpu_us_per_event / other.cpu_us_per_event for one, other in zip(ours, loop, strict=True)]
    return {
        "mix": mix,
        "events": ours[0].events,
        "cpu_us_per_event": round(median(one.cpu_us_per_event for one in ours), 2),
        "loop_cpu_us_per_event": round(median(one.cpu_us_per_event for one in loop), 2),
        "of_loop": round(median(of_loop), 2),
        "rounds": len(ours),
    }
