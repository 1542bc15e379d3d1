from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.embedded.ports import free_port
from tests.receivers.gateway import FakeGateway, fake_gateway

WITHIN_S = 20.0


async def run(script: str, url: str) -> tuple[int, str]:
    """A Python process that publishes: `telemetry` is ready, `URL` is the gateway's; its exit status and all it has written."""
    prologue = """
        import os, signal, sys, threading, time
        from pipeline.sdk import Limits, Telemetry
        URL = sys.argv[1]
        telemetry = Telemetry(URL, service="menu-api", environment="test", limits=Limits(linger_s=0.2, exit_timeout_s=3.0))
        """
    code = textwrap.dedent(prologue) + textwrap.dedent(script)
    # Later Pythons warn of any fork beside a thread; that it works is what is tested here.
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "PYTHONWARNINGS": "error,ignore:This process:DeprecationWarning"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            written, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, written.decode()


def menus(gateway: FakeGateway) -> list[str]:
    """The menu ids that were accepted, sorted; every id of an event once."""
    accepted: list[dict[str, Any]] = gateway.accepted()
    assert max(Counter(event["event_id"] for event in accepted).values(), default=1) == 1
    return sorted(event["properties"]["menu_id"] for event in accepted)


async def test_the_end_of_the_process_sends_what_is_queued() -> None:
    """A script that publishes and ends has published, without closing anything."""
    async with fake_gateway() as gateway:
        status, written = await run('for n in range(3): telemetry.menu_ready(menu_id=f"m-{n}")', gateway.url)
        assert (status, written) == (0, "")
        assert menus(gateway) == ["m-0", "m-1", "m-2"]


async def test_an_exception_that_ends_the_process_does_not_end_its_events() -> None:
    """What led to the crash is told."""
    async with fake_gateway() as gateway:
        status, written = await run('telemetry.menu_ready(menu_id="m"); raise RuntimeError("crash")', gateway.url)
        assert status == 1
        assert "RuntimeError: crash" in written
        assert menus(gateway) == ["m"]


async def test_an_event_of_an_exit_handler_arrives() -> None:
    """Handlers that were registered later run earlier, also when there is no thread yet."""
    async with fake_gateway() as gateway:
        script = 'import atexit; atexit.register(lambda: telemetry.menu_ready(menu_id="last"))'
        assert await run(script, gateway.url) == (0, "")
        assert menus(gateway) == ["last"]


async def test_the_end_is_held_up_for_a_bounded_time() -> None:
    """With no gateway the process ends after its exit timeout and says how many events are lost."""
    script = """
        telemetry.menu_ready(menu_id="m")
        began = time.monotonic()
        import atexit
        atexit.unregister(telemetry.close)
        telemetry.close()
        print(f"{time.monotonic() - began < 6} {dict(telemetry.stats().dropped)}")
        """
    status, written = await run(script, f"http://127.0.0.1:{free_port()}")
    assert status == 0
    assert "True {'unsent': 1}" in written
    assert "1 telemetry events could not be sent" in written


async def test_the_thread_loads_no_module() -> None:
    """A fork while the thread was loading what its first request needs left the child unable to send anything, ever."""
    script = """
        before = set(sys.modules)
        telemetry.menu_ready(menu_id="m")
        telemetry.close()
        print(sorted(set(sys.modules) - before))
        """
    async with fake_gateway() as gateway:
        for url in (gateway.url, gateway.url.replace("127.0.0.1", "localhost")):
            assert await run(script, url) == (0, "[]\n")


async def test_forks_send_their_own_events_and_the_parent_its_own() -> None:
    """Prefork: events queued before the fork are sent once, by the parent; each child has a thread and ids of its own; none is lost."""
    script = """
        telemetry.menu_ready(menu_id="parent-first")
        assert telemetry.flush()  # there is a connection, which is the parent's
        for n in range(5): telemetry.menu_ready(menu_id=f"parent-before-{n}")
        children = []
        for child in range(3):
            pid = os.fork()
            if pid == 0:
                for n in range(20): telemetry.menu_ready(menu_id=f"child-{child}-{n:02d}")
                telemetry.close()
                os._exit(0 if telemetry.stats().sent == 20 else 1)
            children.append(pid)
        telemetry.menu_ready(menu_id="parent-after")
        assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
        telemetry.close()
        assert telemetry.stats().sent == 7, telemetry.stats()
        """
    async with fake_gateway() as gateway:
        status, written = await run(script, gateway.url)
        assert (status, written) == (0, "")
        children = [f"child-{child}-{n:02d}" for child in range(3) for n in range(20)]
        assert menus(gateway) == sorted(["parent-first", "parent-after", *(f"parent-before-{n}" for n in range(5)), *children])
        connections = {(r.connection, event["properties"]["menu_id"][:7]) for r in gateway.received for event in r.events}
        assert len(connections) == len({connection for connection, _ in connections}) == 4, connections


async def test_a_child_that_ends_by_itself_sends_its_events() -> None:
    """A worker that leaves through sys.exit flushes as any process does, even with a fork in the middle of the parent's calls."""
    script = """
        busy, stop = threading.Event(), threading.Event()
        def publish():
            while not stop.is_set():
                telemetry.recipe_view(recipe_id="r"); busy.set()
        thread = threading.Thread(target=publish); thread.start(); busy.wait()
        pids = []
        for child in range(5):
            pid = os.fork()
            if pid == 0:
                telemetry.menu_ready(menu_id=f"child-{child}")
                sys.exit(0)
            pids.append(pid)
        assert all(os.waitpid(pid, 0)[1] == 0 for pid in pids)
        stop.set(); thread.join()
        """
    async with fake_gateway() as gateway:
        status, written = await run(script, gateway.url)
        assert (status, written) == (0, "")
        accepted = [event for event in gateway.accepted() if event["event_type"] == "menu_ready"]
        assert sorted(event["properties"]["menu_id"] for event in accepted) == [f"child-{child}" for child in range(5)]


async def test_a_child_of_multiprocessing_sends_its_events() -> None:
    """Such a child runs no exit handler; its events arrive all the same."""
    script = """
        import multiprocessing
        def work(n): telemetry.menu_ready(menu_id=f"m-{n}")
        context = multiprocessing.get_context("fork")
        processes = [context.Process(target=work, args=(n,)) for n in range(3)]
        for process in processes: process.start()
        for process in processes: process.join()
        assert [process.exitcode for process in processes] == [0, 0, 0]
        """
    async with fake_gateway() as gateway:
        assert await run(script, gateway.url) == (0, "")
        assert menus(gateway) == ["m-0", "m-1", "m-2"]


async def test_a_signal_handler_may_publish() -> None:
    """It interrupts calls, flushes and closings in the middle, and every event arrives."""
    script = """
        published = handled = 0
        def handle(*_):
            global handled
            handled += 1
            telemetry.menu_ready(menu_id="m")
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        while handled < 100:
            telemetry.recipe_view(recipe_id="r")
            published += 1
            if published % 2_000 == 0: assert telemetry.flush()
        telemetry.flush()
        signal.setitimer(signal.ITIMER_REAL, 0)
        telemetry.close()
        assert telemetry.stats().sent == published + handled, telemetry.stats()
        """
    async with fake_gateway() as gateway:
        assert await run(script, gateway.url) == (0, "")
        assert len(gateway.accepted()) > 100


async def test_a_signal_handler_may_publish_while_the_first_call_starts_the_thread() -> None:
    """One thread sends, whichever of the two calls has started it."""
    script = """
        import pipeline.sdk.telemetry as module
        telemetry = Telemetry(URL, service="menu-api", environment="test", limits=Limits(linger_s=60.0))
        real = module.Thread
        def interrupted(**arguments):
            module.Thread = real
            signal.raise_signal(signal.SIGUSR1)
            return real(**arguments)
        module.Thread = interrupted
        signal.signal(signal.SIGUSR1, lambda *_: telemetry.menu_ready(menu_id="handler"))
        telemetry.menu_ready(menu_id="call")
        until = time.monotonic() + 5
        while threading.active_count() > 2 and time.monotonic() < until: time.sleep(0.01)
        print([thread.name for thread in threading.enumerate()])
        """
    async with fake_gateway() as gateway:
        assert await run(script, gateway.url) == (0, "['MainThread', 'telemetry']\n")
        assert menus(gateway) == ["call", "handler"]


async def test_a_handler_of_sigterm_may_close() -> None:
    """A service that is asked to end says goodbye and sends what it has."""
    script = """
        def end(*_):
            telemetry.menu_ready(menu_id="goodbye")
            telemetry.close()
            os._exit(3)
        signal.signal(signal.SIGTERM, end)
        telemetry.menu_ready(menu_id="hello")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
        """
    async with fake_gateway() as gateway:
        assert await run(script, gateway.url) == (3, "")
        assert menus(gateway) == ["goodbye", "hello"]
