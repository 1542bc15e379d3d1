from __future__ import annotations

import subprocess
import sys

#: Of the server's side, and what only validation or a browser of HTTP would need.
NOT_NEEDED = (
    "faust",
    "aiokafka",
    "chdb",
    "numpy",
    "clickhouse_connect",
    "pydantic",
    "pydantic_settings",
    "aiohttp",
    "structlog",
    "asyncio",
)


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_it_is_light() -> None:
    """A service that publishes loads nothing of the server, and not even the libraries of the base install that it can do without."""
    loaded = loaded_by("import pipeline.sdk")
    assert loaded.isdisjoint(NOT_NEEDED)
    assert {"orjson", "uuid_utils"} <= loaded


def test_publishing_loads_nothing_more() -> None:
    """What an event costs is paid at the import: a first call loads no heavy module either."""
    url = "http://127.0.0.1:1"  # nothing listens there
    statement = (
        f"from pipeline.sdk import Telemetry; t = Telemetry({url!r}, service='s', environment='e'); t.menu_ready(menu_id='m'); t.close(0)"
    )
    assert loaded_by(statement).isdisjoint(NOT_NEEDED)


def test_the_base_install_is_enough() -> None:
    """Every third party that the SDK loads is a dependency of the base install, which has no extras."""
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    base = {line.split("==")[0].replace("-", "_") for line in project["dependencies"]}
    ours = sys.stdlib_module_names | {"pipeline", "schemas"}
    third_parties = {name.split(".")[0] for name in loaded_by("import pipeline.sdk")} - ours
    assert {name for name in third_parties if not name.startswith("_")} <= base
