"""Headless Chromium over the DevTools protocol: https://chromedevtools.github.io/devtools-protocol/."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Of somebody who sits in front of it: headless Chromium says so in its own.
ORDINARY_USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
_WITHIN_S = 15.0


def find_chromium() -> str | None:
    """The path of the first that there is."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab. Methods raise AssertionError with what Chromium says went wrong."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count()
        self.session: str | None = None
        self.tab = ""
        self.events: list[dict[str, Any]] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its result; what happens meanwhile is in `events`."""
        number = next(self._ids)
        await self._socket.send_json(
            {"id": number, "method": method, "params": params} | ({"sessionId": self.session} if self.session else {})
        )
        while True:
            message = await self._socket.receive_json(timeout=_WITHIN_S)
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message.get('error')}"
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    async def open(self, url: str) -> None:
        """Navigate, and wait until the page is loaded."""
        answer = await self.call("Page.navigate", url=url)
        assert not answer.get("errorText"), f"{url}: {answer['errorText']}"
        await self.until("document.readyState === 'complete'", f"{url} is loaded")

    async def evaluate(self, script: str) -> Any:
        """The JSON value of an expression, awaited if it is a promise."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, f"{script}: {answer.get('exceptionDetails')}"
        return answer["result"].get("value")

    async def until(self, condition: str, what: str) -> None:
        """Ask in the page until it is true; AssertionError names `what`."""
        deadline = asyncio.get_running_loop().time() + _WITHIN_S
        while not await self.evaluate(condition):
            assert asyncio.get_running_loop().time() < deadline, f"not within {_WITHIN_S:.0f} s: {what}"
            await asyncio.sleep(0.05)

    async def click(self, selector: str) -> None:
        """As a mouse does, in the middle of the first element that matches."""
        box = f"document.querySelector('{selector}').getBoundingClientRect()"
        place = await self.evaluate(f"(({{x, y, width, height}}) => ({{x: x + width / 2, y: y + height / 2}}))({box})")
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    async def hide(self) -> None:
        """Open another tab in front of this one."""
        await self.call("Target.createTarget", url="about:blank")
        await self.until("document.visibilityState === 'hidden'", "the page is hidden")

    async def show(self) -> None:
        """Bring this tab to the front."""
        await self.call("Target.activateTarget", targetId=self.tab)
        await self.until("document.visibilityState === 'visible'", "the page is visible")


@asynccontextmanager
async def chromium(folder: Path, *flags: str) -> AsyncIterator[Page]:
    """A browser of its own with one empty tab in front, ended with the block."""
    executable = find_chromium()
    assert executable is not None
    folder.mkdir(exist_ok=True)
    profile = folder / "profile"
    command = [executable, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "--window-size=1000,800", *flags, "about:blank"]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        port, path = await _address(profile / "DevToolsActivePort", process)
        async with ClientSession() as http, http.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket:
            page = Page(socket)
            (tab,) = [target for target in (await page.call("Target.getTargets"))["targetInfos"] if target["type"] == "page"]
            page.tab = tab["targetId"]
            page.session = (await page.call("Target.attachToTarget", targetId=page.tab, flatten=True))["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                await page.call(f"{domain}.enable")
            yield page
            page.session = None
            await page.call("Browser.close")
    finally:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _address(file: Path, process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Where Chromium listens: it writes that down once it does."""
    deadline = asyncio.get_running_loop().time() + _WITHIN_S
    while not file.exists() or file.read_text().count("\n") < 1:
        assert process.poll() is None, f"Chromium ended with {process.returncode}"
        assert asyncio.get_running_loop().time() < deadline, "Chromium does not listen"
        await asyncio.sleep(0.05)
    port, path = file.read_text().split("\n")[:2]
    return int(port), path
