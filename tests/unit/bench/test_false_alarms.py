from __future__ import annotations

import re

import numpy as np

from alerting.config.load import load_config
from alerting.engine.judge import Judge
from schemas.pane import PANE_MS, Flush, Pane
from schemas.timestamps import from_ms
from tests.bench import simulated
from tests.bench.false_alarms import BEGIN, END, HEALTHY, OUTAGES, PLAIN, RULES, Detection, HealthyDays, report, watchers
from tests.bench.report import README
from tests.bench.simulated import Counts

START_MS = 1_764_000_000_000


def _flush(second: int, events: Counts, errors: Counts) -> Flush:
    """What the one partition says at the end of a second: the open pane as it is by then."""
    now_ms = START_MS + second * 1000 + 999
    start_ms = now_ms // PANE_MS * PANE_MS
    seen = slice((start_ms - START_MS) // 1000, second + 1)
    counts = {"failed": int(errors[seen].sum()), "full": int((events[seen] - errors[seen]).sum())}
    panes = [
        Pane(
            metric="menu_generation",
            labels={"provider": "ollama", "outcome": outcome},
            start=from_ms(start_ms),
            count=count,
            sum=count * 1_000_000,
            buckets={},
            last_offset=second,
            version=2 * second,
        )
        for outcome, count in counts.items()
        if count
    ]
    return Flush(source_partition=0, last_offset=second, watermark=from_ms(now_ms), caught_up_at=None, panes=panes)


def test_the_simulation_finds_true_what_the_judge_finds_true() -> None:
    """Ten minutes around the thresholds, second by second, by the shipped rules: the same looks are true."""
    random = np.random.default_rng(6)
    ratios = np.concatenate([np.full(200, 0.03), np.full(200, 0.08), np.full(200, 0.14)])
    events, errors = simulated.traffic(random, 1_000, ratios)
    rules = [rule for rule in load_config().rules if rule.name in RULES]
    judge = Judge(rules, partitions=1)
    judged: dict[str, list[bool]] = {name: [] for name in RULES}
    for second in range(len(events)):
        flush = _flush(second, events, errors)
        newest = {judgement.rule.name: judgement.verdict for judgement in judge.flush(flush, START_MS + second * 1000 + 999)}
        for name in RULES:
            judged[name].append(newest[name] == "true")
    simulated_looks = {watcher.name: watcher.looks(events, errors) for watcher in watchers()}
    assert {name: judged[name] for name in RULES} == {name: simulated_looks[name].tolist() for name in RULES}
    assert all(0 < sum(judged[name]) < len(events) for name in RULES)


def _without_figures(text: str) -> str:
    return re.sub(r"(?<=\| )(?:\d+\.\d|(?:never|\d+ s|\d+ min) / (?:never|\d+ s|\d+ min))(?= \|)", "…", text)


def test_the_readme_has_the_rows_and_columns_that_the_command_prints() -> None:
    """Whoever changes rules, volumes or ratios has to run it again; the figures take minutes, and are not looked at here."""
    names = [*RULES, PLAIN]
    healthy = [HealthyDays(name, *case, days=1, false_pages=0) for case in HEALTHY for name in names]
    found = [Detection(name, *case, median_s=None, p95_s=None) for case in OUTAGES for name in names]
    shown, end, _ = README.read_text("utf-8").partition(BEGIN)[2].partition(END)
    assert end
    assert _without_figures(shown) == _without_figures("\n".join(report(healthy, found)) + "\n")
    assert _without_figures(shown).count("…") == len(healthy) + len(found)
