from __future__ import annotations

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from alerting.alerter import Alerter
from alerting.config.load import load_config
from alerting.engine.engine import Engine
from alerting.loading import Loaded
from pipeline.runtime.chunk_source import ChunkSource
from pipeline.runtime.ledger import Ledger
from pipeline.runtime.resume import Resume
from pipeline.runtime.settings import Settings
from schemas.command import Command
from schemas.topics import COMMANDS, PANES
from tests.unit.alerting.desk import ack

PARTITION = TopicPartition(PANES.name, 0)
AGAIN = Resume(PARTITION, committed=7, log_start=0, log_end=7)


class Source(ChunkSource):
    """Owns the partition, or not, as a test says."""

    def __init__(self) -> None:
        self.owns = True

    def owned(self) -> dict[TopicPartition, Ledger]:
        return {PARTITION: Ledger(PARTITION, 0)} if self.owns else {}


class Office(Alerter):
    """An alerter without Kafka: what it publishes is taken, `asked` are the commands, and `loads` is how often it has read its state."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config, self.loads = load_config(), 0
        super().__init__(Settings(), self.config)
        self.source = self.partition = Source()
        self.asked: list[ConsumerRecord] = []
        for method in ("publish", "check"):
            monkeypatch.setattr(self._publisher, method, self._nothing)
        monkeypatch.setattr(self, "_follow_commands", self._nothing)
        monkeypatch.setattr(self, "_loader", self)

    async def _nothing(self, *_: object) -> None: ...

    async def load(self, resume: Resume) -> Loaded:
        """In place of the topics: nothing has happened."""
        self.loads += 1
        engine = Engine(self.config.rules, self.config.policy, self.config.routing)
        return Loaded(engine, resume.log_end, resume.log_end, len(self.asked), judged_to=resume.log_end)

    async def commands_since(self, offset: int) -> list[ConsumerRecord]:
        return self.asked[offset:]

    async def begin(self) -> Loaded:
        """What happens in the first tick after the state was read."""
        assert self._loaded is not None
        await self._begin(self._loaded)
        return self._loaded

    async def ask(self, command: Command) -> None:
        """It is on the topic, and the tail has read it."""
        value = command.model_dump_json().encode()
        self.asked.append(ConsumerRecord(COMMANDS.name, 0, len(self.asked), 0, 0, None, value, None, 0, len(value), ()))
        await self._on_command(self.asked[-1])


@pytest.fixture
async def office(monkeypatch: pytest.MonkeyPatch) -> Office:
    return Office(monkeypatch)


async def test_a_command_that_came_between_two_ownerships_is_obeyed_in_the_next_one(office: Office) -> None:
    """While members of the group come and go nobody obeys it, and the state is kept; what was obeyed before is not read again."""
    await office.resume(AGAIN)
    await office.begin()
    await office.ask(ack("a", 0, command_id="c-1"))
    office.partition.owns = False
    await office.ask(ack("b", 0, command_id="c-2"))
    office.partition.owns = True
    await office.resume(AGAIN)
    assert office._loaded is not None
    assert office._loaded.commands_from == 1
    assert (await office.begin()).commands_from == 2
    assert office.loads == 1


async def test_what_an_earlier_alerter_left_unsaid_is_said_though_the_partition_went_away_at_that_moment(office: Office) -> None:
    """Catching up could not be published: it has not happened, and the state that is kept does not begin before it has."""
    await office.resume(AGAIN)
    office.partition.owns = False
    loaded = await office.begin()
    assert (loaded.caught_up, loaded.begun) == (False, False)
    office.partition.owns = True
    await office.resume(AGAIN)
    loaded = await office.begin()
    assert (loaded.caught_up, loaded.begun, office.loads) == (True, True, 1)
