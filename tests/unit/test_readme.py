from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.cli.main import build
from schemas.topics import PREFIX, TOPICS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def mentioned(pattern: str) -> list[str]:
    return sorted(set(re.findall(pattern, README)))


@pytest.mark.parametrize(
    "path", mentioned(r"`((?:schemas|pipeline|alerting|sql|grafana|tests)/[\w/.-]*)`") + mentioned(r"`(\.[\w.]+/?\w*)`")
)
def test_files_it_names_are_there(path: str) -> None:
    """A path in the README leads somewhere."""
    assert (ROOT / path).exists() or path == ".env"  # made from .env.example by whoever needs it


@pytest.mark.parametrize("target", mentioned(r"(?m)^make ([\w-]+)") + mentioned(r"`make ([\w-]+)`"))
def test_make_targets_it_names_are_there(target: str) -> None:
    """A make target in the README is in the Makefile."""
    assert re.search(rf"(?m)^{target}:", (ROOT / "Makefile").read_text())


@pytest.mark.parametrize("command", mentioned(r"telemetry ((?:alerts|rules|dlq) [a-z]+|[a-z]+)(?![\w.])"))
def test_commands_it_names_are_there(command: str) -> None:
    """A command in the README is one of `telemetry`."""
    app = build()
    for word in command.split():
        assert word in app
        app = app[word]


def test_topics_it_names_are_the_topics() -> None:
    """The list of topics is complete and right."""
    (names,) = mentioned(re.escape(PREFIX) + r"\{([\w,]+)\}\.v1")
    assert {f"{PREFIX}{name}.v1" for name in names.split(",")} == {topic.name for topic in TOPICS}


@pytest.mark.parametrize(
    "view", ["error_rate", "latency", "error_rate_total", "latency_total", "error_rate_at", "latency_at", "first_exposures"]
)
def test_views_it_names_are_there(view: str) -> None:
    """A view in the README is in sql/views."""
    assert f"`{view}" in README
    assert (ROOT / "sql" / "views" / f"{view}.sql").exists()


def test_its_first_lines_are_the_two_commands() -> None:
    """A newcomer sees what to type before anything else."""
    assert re.match(r"# .*\n\n```sh\nmake demo .*\nmake test ", README)
