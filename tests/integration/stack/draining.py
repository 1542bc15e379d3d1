"""A role that, told to stop, asks its server whether it is still there: `python draining.py OWN_URL SERVER_URL`."""

from __future__ import annotations

import signal
import sys
import threading
import urllib.request
from urllib.parse import urlsplit

from tests.integration.stack import stand_in


def main(own_url: str, server_url: str) -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    threading.Thread(target=stand_in.main, args=(urlsplit(own_url).port,), daemon=True).start()
    stopping.wait()
    with urllib.request.urlopen(f"{server_url}/readyz") as answer:
        sys.stdout.write(f"server answered {answer.status}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
