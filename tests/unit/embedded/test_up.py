from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.embedded.ports import fixed_ports
from pipeline.embedded.up import UpOptions, choose_ports, environment, make_directories, refuse_full_disk
from pipeline.runtime.errors import ConfigurationError, Stop
from pipeline.runtime.settings import ClickHouse, Console, Gateway, Kafka, Settings

HERE = Path("/data")


def test_fixed_ports_are_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that a setting names is where the embedded server listens."""
    settings = Settings(
        kafka=Kafka(bootstrap_servers="localhost:19092"),
        clickhouse=ClickHouse(url="http://127.0.0.1:18123"),
        gateway=Gateway(port=18100),
        console=Console(port=18150),
    )
    assert choose_ports(UpOptions(HERE, 2), settings) == fixed_ports(kafka=19092, clickhouse=18123, gateway=18100, console=18150, workers=2)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (Settings(kafka=Kafka(bootstrap_servers="kafka:9092")), "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS is kafka:9092"),
        (Settings(kafka=Kafka(bootstrap_servers="127.0.0.1:9092,127.0.0.1:9093")), "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS"),
        (Settings(kafka=Kafka(bootstrap_servers="127.0.0.1")), "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS"),
        (Settings(clickhouse=ClickHouse(url="https://warehouse:8443")), "TELEMETRY_CLICKHOUSE__URL is https://warehouse:8443"),
    ],
)
def test_address_elsewhere_is_refused(settings: Settings, named: str) -> None:
    """`up` starts servers on loopback: settings that name others are a mistake it does not pass over in silence."""
    with pytest.raises(ConfigurationError, match=named):
        choose_ports(UpOptions(HERE), settings)


def test_auto_ports_do_not_mind_the_settings() -> None:
    """With --ports auto free ports are taken whatever the settings say, one for each worker."""
    ports = choose_ports(UpOptions(HERE, 12, auto_ports=True), Settings(kafka=Kafka(bootstrap_servers="kafka:9092")))
    assert len(ports.workers) == 12
    assert len({port for _, port in ports.by_role()}) == 19


@pytest.mark.parametrize("workers", [0, -1, 13])
def test_workers_are_as_many_as_can_have_work(workers: int) -> None:
    """At least one, at most one for each partition."""
    with pytest.raises(ConfigurationError, match="1 to 12"):
        choose_ports(UpOptions(HERE, workers, auto_ports=True), Settings())


def test_full_disk_is_refused_in_one_line() -> None:
    """Half a GiB is the least to start with; the line has what is free and what to do."""
    refuse_full_disk(HERE, 512 << 20)
    with pytest.raises(Stop, match=r"^511 MiB are free on the disk of /data, 512 MiB are needed: free some, or .*--data-dir$"):
        refuse_full_disk(HERE, (512 << 20) - 1)


def test_place_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """A file where the data directory should be is told as such."""
    (tmp_path / "file").touch()
    with pytest.raises(Stop, match=r"file cannot be made: File exists; name another place with --data-dir$"):
        make_directories(tmp_path / "file")


def test_directories_are_their_owners_only(tmp_path: Path) -> None:
    """What people did is in the data directory: nobody else reads it."""
    make_directories(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0
    assert (tmp_path / "a" / "b" / "logs").is_dir()


def test_environment_is_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What .env says is passed on to the roles, which run elsewhere, unless the environment says otherwise."""
    (tmp_path / ".env").write_text("SENTRY_DSN=https://file\nTELEMETRY_GATEWAY__PORT=1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SENTRY_DSN", raising=False)
    monkeypatch.setenv("TELEMETRY_GATEWAY__PORT", "2")
    found = environment()
    assert (found["SENTRY_DSN"], found["TELEMETRY_GATEWAY__PORT"]) == ("https://file", "2")


@pytest.mark.parametrize("name", ["TELEMETRY_ALERTING__CONFIG_DIR", "telemetry_alerting__config_dir"])
def test_a_folder_is_named_from_where_the_stack_was_started(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The roles run in the data directory, where a relative path would be another folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, "my-alerting")
    assert environment()[name] == str(tmp_path / "my-alerting")
    monkeypatch.setenv(name, "/etc/alerting")
    assert environment()[name] == "/etc/alerting"
