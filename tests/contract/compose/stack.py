import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
ROLES = {"gateway", "worker", "alerter", "notifier", "console", "host"}
JOBS = {"topics", "migrate"}
Services = dict[str, dict[str, Any]]

_DOCKER_COMPOSE = Path(sys.executable).parent / "docker-compose"


def compose_config(file: Path, env_file: Path) -> subprocess.CompletedProcess[str]:
    """What `docker-compose config` says of `file`, with nothing in the environment but the path."""
    command = [str(_DOCKER_COMPOSE), "--project-directory", str(ROOT), "--file", str(file), "--env-file", str(env_file)]
    return subprocess.run(
        [*command, "config", "--format", "json"], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"}
    )
