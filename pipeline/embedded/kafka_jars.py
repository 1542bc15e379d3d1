"""The jars of the embedded broker: fetched once, each one's SHA-256 compared with `jgo.lock.toml` before every use."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.runtime.errors import Stop, TelemetryError

SPEC_FILE = Path(__file__).with_name("jgo.toml")
LOCK_FILE = Path(__file__).with_name("jgo.lock.toml")

_PARALLEL_DOWNLOADS = 6
_DOWNLOAD_TIMEOUT_S = 60

Progress = Callable[[int, int, str], None]
"""Called with (jars there, jars in all, name of the jar that just came)."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One artifact as the lock file names it."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where fetched things are kept: outside the repository, shared by all its checkouts."""
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nutricoach-telemetry"


def locked_jars(lock_file: Path = LOCK_FILE) -> list[Jar]:
    """What the lock file asks for, in its order."""
    locked = tomllib.loads(lock_file.read_text("utf-8"))["dependencies"]
    return [Jar(jar["groupId"], jar["artifactId"], jar["version"], jar["sha256"]) for jar in locked]


def class_path(environ: Mapping[str, str] = os.environ) -> str:
    """Java's class path of the broker: KAFKA_HOME's jars when it is set, else the fetched ones, verified.

    Raises Stop when a jar is missing or differs; the line says what to do.
    """
    if home := environ.get("KAFKA_HOME"):
        libs = Path(home) / "libs"
        if not any(libs.glob("kafka_2.13-*.jar")):
            raise Stop(f"KAFKA_HOME is {home}, but {libs} holds no Kafka; point it at an unpacked Apache Kafka 4, or unset it")
        return str(libs / "*")
    libs, jars = jars_dir(environ), locked_jars()
    if absent := missing(libs, jars):
        raise Stop(f"{len(absent)} of the {len(jars)} Kafka jars are missing or damaged in {libs}; run `make setup` to fetch them")
    return os.pathsep.join(str(libs / jar.file_name) for jar in jars)


def jars_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder the fetched jars are in."""
    return cache_dir(environ) / "kafka"


def missing(libs: Path, jars: Sequence[Jar]) -> list[Jar]:
    """Those of `jars` that are not in `libs`, or are there with other bytes than the lock file's."""
    return [jar for jar in jars if not _intact(libs / jar.file_name, jar)]


def fetch(libs: Path, jars: Sequence[Jar], progress: Progress) -> None:
    """Bring what is missing into `libs`; a file appears there only once its sum is right, so any number may run at once.

    Raises Stop when a jar cannot be had or is not the one that was locked.
    """
    absent = missing(libs, jars)
    if not absent:
        return
    libs.mkdir(parents=True, exist_ok=True)
    done = len(jars) - len(absent)
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=libs) as scratch, ThreadPoolExecutor(_PARALLEL_DOWNLOADS) as pool:
        try:
            for jar in pool.map(lambda jar: _download(jar, Path(scratch), libs), absent):
                done += 1
                progress(done, len(jars), jar.file_name)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _download(jar: Jar, scratch: Path, libs: Path) -> Jar:
    from jgo.maven import MavenContext  # noqa: PLC0415 - needed only to fetch

    context = MavenContext(repo_cache=scratch, timeout=_DOWNLOAD_TIMEOUT_S)
    try:
        file = Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())
    except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
        raise Stop(f"cannot fetch {jar.file_name}: {_first_line(error)}; see to the network and run `make setup` again") from None
    if not _intact(file, jar):
        raise Stop(f"{jar.file_name} as fetched is not the one that was locked (SHA-256 differs); do not use it, tell the maintainers")
    os.replace(file, libs / jar.file_name)
    return jar


def _intact(file: Path, jar: Jar) -> bool:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def lock(spec_file: Path = SPEC_FILE, lock_file: Path = LOCK_FILE) -> None:
    """Resolve `jgo.toml` anew and write the lock file; for maintainers, after a change of version."""
    from jgo.env import EnvironmentBuilder, EnvironmentSpec, LockFile  # noqa: PLC0415 - needed only here
    from jgo.maven import MavenContext  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as repository:
        context = MavenContext(repo_cache=Path(repository), timeout=_DOWNLOAD_TIMEOUT_S)
        spec = EnvironmentSpec.load(spec_file)
        asked, brought = context.resolver.resolve(EnvironmentBuilder(context).spec_to_dependencies(spec))
        LockFile.from_resolved_dependencies([*asked, *brought], environment_name=spec.name).save(lock_file)


def main(arguments: Sequence[str]) -> int:
    """`fetch` (what `make setup` runs) or `lock`; the exit code."""

    def show(done: int, total: int, name: str) -> None:
        sys.stderr.write(
            f"\r\x1b[KKafka jars {done}/{total} {name}" + ("\n" if done == total else "")
            if sys.stderr.isatty()
            else f"Kafka jars {done}/{total} {name}\n"
        )

    try:
        if list(arguments) == ["lock"]:
            lock()
        elif os.environ.get("KAFKA_HOME"):
            class_path()
        else:
            fetch(jars_dir(), locked_jars(), show)
    except TelemetryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
