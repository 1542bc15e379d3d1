from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from pipeline.cli import stack
from pipeline.cli.main import build, explain, run
from pipeline.runtime.errors import ConfigurationError, RetryAfter, Stop

COMMANDS = ["up", "status", "down", "doctor", "topics", "migrate", "demo", "publish", "validate", "tail", "reconcile"]
COMMANDS += ["gateway", "worker", "alerter", "notifier", "console"]


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def status() -> NoReturn:
        """As a command would."""
        raise error

    monkeypatch.setattr(stack, "status", status)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`telemetry COMMAND --help` says what it does and shows a line to type."""
    assert run([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert re.search(rf"Example: .*telemetry\s+{command}", text, re.DOTALL)


@pytest.mark.parametrize("command", ["list", "show", "why", "ack", "unack", "reassign", "snooze", "silence", "unsilence", "silences"])
def test_help_of_every_command_on_alerts_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`telemetry alerts COMMAND --help` likewise."""
    assert run(["alerts", command, "--help"]) == 0
    assert re.search(rf"Example: .*telemetry\s+alerts\s+{command}", capsys.readouterr().out, re.DOTALL)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The list says in words what each is for."""
    assert run(["--help"]) == 0
    lines = capsys.readouterr().out
    assert all(re.search(rf"│ {command} +\w+", lines) for command in COMMANDS)


@pytest.mark.parametrize(
    "tokens", [["statsu"], ["up", "--workers", "many"], ["up", "--ports", "some"], ["status", "--nope"], ["status", "extra"]]
)
def test_wrong_usage_is_two_and_one_line(tokens: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, one line on stderr, nothing on stdout."""
    assert run(tokens) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"telemetry: .+\n", said.err)


@pytest.mark.parametrize(
    ("error", "exit_code"), [(Stop("the disk is full"), 1), (ConfigurationError("not a setting"), 2), (RetryAfter("no broker answers"), 1)]
)
def test_expected_errors_are_their_line(
    error: Exception, exit_code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The class decides the exit code, the text is the line."""
    fail_with(monkeypatch, error)
    assert run(["status"]) == exit_code
    assert capsys.readouterr().err == f"telemetry: {error}\n"


def test_bug_is_one_line_and_its_stack_is_kept(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """No traceback for the person: a line that names the file which has it, readable by its owner only."""
    monkeypatch.setattr("pipeline.runtime.settings.DEFAULT_DATA_DIR", tmp_path)
    fail_with(monkeypatch, ZeroDivisionError("a\nb"))
    assert run(["status"]) == 1
    line = capsys.readouterr().err
    assert re.fullmatch(r"telemetry: ZeroDivisionError: a b; this is a bug, its stack is at the end of \S+\n", line)
    file = Path(line.split()[-1])
    assert "Traceback (most recent call last)" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_interrupt_is_as_a_shell_counts_it() -> None:
    """Ctrl-C is 130."""
    assert explain(KeyboardInterrupt()) == ("interrupted", 130)


def test_status_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1 and {"state":"stopped"}."""
    assert run(["status", "--format", "json", "--data-dir", str(tmp_path)]) == 1
    assert json.loads(capsys.readouterr().out) == {"state": "stopped"}


def test_down_with_nothing_running(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0."""
    assert run(["down", "--data-dir", str(tmp_path)]) == 0
    assert str(tmp_path) in capsys.readouterr().out


def test_command_on_a_directory_where_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory that was named and has no stack is an error that says how to start one."""
    assert run(["topics", "--data-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"telemetry: no stack runs on {tmp_path}; start one with `telemetry up --data-dir {tmp_path}`\n"


def test_options_of_up_as_the_contract_has_them() -> None:
    """Every documented option is taken, --no-host-events included."""
    tokens = ["up", "--ports", "auto", "--detach", "--workers", "2", "--no-host-events", "--data-dir", "/d"]
    command, bound, _ = build().parse_args(tokens, exit_on_error=False, print_error=False)
    assert command is stack.up
    assert bound.arguments == {"ports": "auto", "detach": True, "workers": 2, "host_events": False, "data_dir": Path("/d")}


def test_commands_do_not_wait_for_the_libraries_of_others() -> None:
    """`telemetry status` answers at once: neither Faust nor a Kafka or ClickHouse client is imported for it."""
    code = "import sys; from pipeline.cli.main import run; run(['status']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"faust", "aiokafka", "clickhouse_connect", "aiohttp", "numpy", "chdb", "jgo", "lark"} & set(loaded)
    assert "psutil" in loaded


def test_module_is_the_program_too() -> None:
    """`python -m pipeline.cli.main` is how roles are started."""
    command = [sys.executable, "-m", "pipeline.cli.main", "--version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", subprocess.run(command, capture_output=True, text=True, check=True).stdout)
