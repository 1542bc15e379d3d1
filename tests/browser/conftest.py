"""The stack that browsers talk to: gateway, Kafka, worker and engine, and a site whose pages have the snippet."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which

import pytest

import pipeline
from pipeline.embedded.ports import HOST, free_port
from pipeline.embedded.readiness import is_ready
from tests.browser.chromium import find_chromium
from tests.integration.worker.own_stack import prepare
from tests.integration.worker.stack import Stack, ready
from tests.stack_fixtures import ClickHouseServer
from tests.waiting import wait_until

HERE = Path(__file__).parent
WRITE_KEY = "key-of-the-site"
_WEB_VITALS = HERE / "node_modules" / "web-vitals"
_FILES = {
    "/telemetry.js": Path(pipeline.__file__).parent / "browser" / "telemetry.js",
    "/web-vitals.js": _WEB_VITALS / "dist" / "web-vitals.js",
}


@dataclass(frozen=True)
class Site:
    """Addresses of two sites with the same pages, of which the gateway knows only one, and of the gateway."""

    url: str
    unknown_url: str
    gateway: str


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    """Chromium, and the package web-vitals that package-lock.json names."""
    missing = [name for name, found in (("Chromium", find_chromium()), ("npm (Node.js)", which("npm"))) if not found]
    if missing:
        pytest.exit(f"make test-browser needs {' and '.join(missing)}: install what is missing, then run it again", returncode=2)
    subprocess.run(["npm", "ci", "--silent", "--ignore-scripts"], cwd=HERE, check=True)


@pytest.fixture(scope="module")
def stack(kafka: str, clickhouse: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Topics, tables and a worker."""
    prepare(kafka, clickhouse)
    stack = Stack(kafka, clickhouse, tmp_path_factory.mktemp("stack"))
    try:
        worker = stack.start_worker()
        wait_until(lambda: ready(worker), 60, "the worker is ready")
        yield stack
    finally:
        stack.stop_roles()


@pytest.fixture(scope="module")
def site(stack: Stack) -> Iterator[Site]:
    """Pages, and a gateway of another origin that asks for a write key."""
    with _served() as url, _served() as unknown_url:
        port = free_port()
        gateway = stack.start(
            "gateway",
            TELEMETRY_GATEWAY__PORT=str(port),
            TELEMETRY_GATEWAY__WRITE_KEYS=WRITE_KEY,
            TELEMETRY_GATEWAY__CORS_ORIGINS=url,
        )
        address = f"http://{HOST}:{port}"
        wait_until(lambda: gateway.process.poll() is None and is_ready(f"{address}/readyz"), 30, "the gateway is ready")
        yield Site(url, unknown_url, address)


class _Pages(BaseHTTPRequestHandler):
    """The scripts under their names, the page under every other."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        file = _FILES.get(path, HERE / "page.html")
        body = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if file.suffix == ".js" else "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what matters is in ClickHouse."""


class _served:
    """A web server while the block lasts."""

    def __enter__(self) -> str:
        self._server = ThreadingHTTPServer((HOST, 0), _Pages)
        self._thread = threading.Thread(target=partial(self._server.serve_forever, poll_interval=0.05), daemon=True)
        self._thread.start()
        return f"http://{HOST}:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
