from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from pipeline.embedded import kafka_jars
from pipeline.embedded.kafka_jars import LOCK_FILE, SPEC_FILE, Jar, cache_dir, class_path, fetch, jars_dir, locked_jars, main, missing
from pipeline.runtime.errors import Stop


def jar(name: str, content: bytes) -> Jar:
    return Jar("org.example", name, "1", hashlib.sha256(content).hexdigest())


def test_lock_pins_what_the_spec_asks_for() -> None:
    """The broker and its logger are locked at the versions of jgo.toml, every jar with a SHA-256."""
    locked = {f"{jar.group}:{jar.artifact}:{jar.version}" for jar in locked_jars()}
    asked = set(re.findall(r'"(org\.[^"]+:[^"]+:[^"]+)"', SPEC_FILE.read_text()))
    assert asked == {"org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36"}
    assert asked <= locked
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) for jar in locked_jars())


def test_lock_names_no_host() -> None:
    """Neither file says where the jars come from: that is the fetcher's default, or the user's configuration."""
    assert "://" not in SPEC_FILE.read_text() + LOCK_FILE.read_text()


def test_cache_is_outside_the_repository() -> None:
    """XDG_CACHE_HOME is respected; otherwise it is ~/.cache."""
    assert cache_dir({"XDG_CACHE_HOME": "/xdg"}) == Path("/xdg/nutricoach-telemetry")
    assert cache_dir({}) == Path.home() / ".cache" / "nutricoach-telemetry"


def test_absent_and_damaged_jars_are_missing(tmp_path: Path) -> None:
    """One flipped byte is as bad as no file."""
    jars = [jar("whole", b"abc"), jar("damaged", b"abc"), jar("absent", b"abc")]
    (tmp_path / "whole-1.jar").write_bytes(b"abc")
    (tmp_path / "damaged-1.jar").write_bytes(b"abd")
    assert missing(tmp_path, jars) == jars[1:]


def test_nothing_is_fetched_when_all_is_there(tmp_path: Path) -> None:
    """A second fetch asks nobody and reports nothing."""
    (tmp_path / "whole-1.jar").write_bytes(b"abc")
    reported: list[object] = []
    fetch(tmp_path, [jar("whole", b"abc")], lambda *step: reported.append(step))
    assert reported == []
    assert [file.name for file in tmp_path.iterdir()] == ["whole-1.jar"]


def test_fetched_jar_with_another_sum_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came is not what was locked: it does not get into the folder, and the line says so."""
    import jgo.maven

    def resolve(artifact: object) -> Path:
        file = tmp_path / "came.jar"
        file.write_bytes(b"something else")
        return file

    monkeypatch.setattr(jgo.maven.Artifact, "resolve", resolve)
    with pytest.raises(Stop, match=r"whole-1\.jar as fetched is not the one that was locked"):
        fetch(tmp_path / "libs", [jar("whole", b"abc")], lambda *_: None)
    assert list((tmp_path / "libs").iterdir()) == []


def test_no_network_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A jar that cannot be had is named, with what to do."""
    import jgo.maven

    def resolve(artifact: object) -> Path:
        raise OSError("no route\nand more")

    monkeypatch.setattr(jgo.maven.Artifact, "resolve", resolve)
    with pytest.raises(Stop, match=r"^cannot fetch whole-1\.jar: no route; see to the network and run `make setup` again$"):
        fetch(tmp_path, [jar("whole", b"abc")], lambda *_: None)


def test_class_path_has_every_locked_jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is verified is what Java gets, file by file: a foreign jar in the folder is not on it."""
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    libs = jars_dir(environ)
    libs.mkdir(parents=True)
    for name in ("a-1.jar", "b-1.jar", "foreign.jar"):
        (libs / name).write_bytes(b"abc")
    monkeypatch.setattr(kafka_jars, "locked_jars", lambda: [jar("a", b"abc"), jar("b", b"abc")])
    assert class_path(environ).split(os.pathsep) == [str(libs / "a-1.jar"), str(libs / "b-1.jar")]


def test_missing_jars_say_what_to_do(tmp_path: Path) -> None:
    """Without the jars the broker is not started: one line names `make setup`."""
    with pytest.raises(Stop, match="run `make setup`"):
        class_path({"XDG_CACHE_HOME": str(tmp_path)})


def test_kafka_home_is_used_as_it_is(tmp_path: Path) -> None:
    """An unpacked Kafka's libs are the class path, without any fetched jar."""
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.0.0.jar").touch()
    assert class_path({"KAFKA_HOME": str(tmp_path)}) == str(tmp_path / "libs" / "*")


def test_wrong_kafka_home_is_refused(tmp_path: Path) -> None:
    """A KAFKA_HOME without Kafka in it is named."""
    with pytest.raises(Stop, match="KAFKA_HOME"):
        class_path({"KAFKA_HOME": str(tmp_path)})


def test_setup_does_not_fetch_with_a_kafka_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With KAFKA_HOME set there is nothing to fetch, but a wrong one is told at once: exit 1 and a line."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    assert main(["fetch"]) == 1
    assert "KAFKA_HOME" in capsys.readouterr().err
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.0.0.jar").touch()
    assert main(["fetch"]) == 0
    assert not (tmp_path / "cache").exists()
