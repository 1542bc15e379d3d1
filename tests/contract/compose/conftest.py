import json
from typing import Any

import pytest
import yaml

from tests.contract.compose.stack import ROOT, Services, compose_config


@pytest.fixture(scope="session")
def resolved() -> dict[str, Any]:
    """docker-compose.yml as Docker Compose itself resolves it with .env.example."""
    done = compose_config(ROOT / "docker-compose.yml", ROOT / ".env.example")
    assert done.returncode == 0, done.stderr
    config: dict[str, Any] = json.loads(done.stdout)
    return config


@pytest.fixture(scope="session")
def services(resolved: dict[str, Any]) -> Services:
    found: Services = resolved["services"]
    return found


@pytest.fixture(scope="session")
def written() -> Services:
    """The services as the file spells them, before any variable is filled in."""
    found: Services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    return found
