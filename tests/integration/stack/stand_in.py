"""A role for the supervisor's tests, `python stand_in.py PORT [LINE [stubborn]]`: serves /readyz.

It writes LINE first, and ends with exit code 1 when that begins with "die", with 2 when with "refuse".
A stubborn one ignores SIGTERM and has a child that does.
"""

from __future__ import annotations

import http.server
import signal
import subprocess
import sys


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the log is what the test wrote."""


def main(port: int, line: str = "", stubborn: str = "") -> None:
    if line:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    if line.startswith("die"):
        sys.exit(1)
    if line.startswith("refuse"):
        sys.exit(2)
    if stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
    http.server.ThreadingHTTPServer(("127.0.0.1", port), _Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
