from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cli.main import run


@pytest.mark.parametrize(
    ("options", "says"), [(["--speed", "0"], "--speed must be greater than 0"), (["--verify"], "name its directory with --data-dir")]
)
def test_wrong_usage_starts_nothing(options: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 with one line that says what to do."""
    assert run(["demo", *options]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert says in said.err


def test_there_must_be_a_stack_to_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1: the answer is no."""
    assert run(["demo", "--verify", "--data-dir", str(tmp_path)]) == 1
    assert f"no stack runs on {tmp_path}" in capsys.readouterr().err
