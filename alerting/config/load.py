"""The files of this folder: rules, escalation steps and routes, read whole and checked against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from alerting.config.receivers import ReceiverConfig, Receivers, check_failovers, check_known
from alerting.engine.document import Document, DocumentError, FileModel, parse_document, read_value
from alerting.engine.policy import EscalationPolicy
from alerting.engine.routing import Routing
from alerting.engine.rule import Rule, rules_of, subject_of
from alerting.engine.suggestion import did_you_mean
from pipeline.runtime.errors import ConfigurationError
from pipeline.runtime.settings import Settings

CONFIG_DIR: Final = Path(__file__).parent
#: Runbooks are named by their path from here; those of a folder of one's own may be named by their path in it.
_ROOT: Final = CONFIG_DIR.parents[1]


class _Routes(Routing, FileModel):
    """The whole of routes.yaml."""

    receivers: Receivers


_ROUTES: Final = TypeAdapter(_Routes)
_POLICY: Final = TypeAdapter(EscalationPolicy)


@dataclass(frozen=True, slots=True)
class AlertingConfig:
    """`receivers` by name. Every receiver that a rule or a step names is one of them, and every rule has its runbook."""

    rules: tuple[Rule, ...]
    policy: EscalationPolicy
    routing: Routing
    receivers: Mapping[str, ReceiverConfig]


def configured(settings: Settings) -> AlertingConfig:
    """The configuration that the settings choose: a folder of one's own, or the shipped one. Raises ConfigurationError."""
    return load_config(settings.alerting.config_dir or CONFIG_DIR)


def load_config(directory: Path = CONFIG_DIR) -> AlertingConfig:
    """Read rules/*.yaml, escalation.yaml and routes.yaml. Raises ConfigurationError: one line, `file:line:column: ` first."""
    with _located(directory / "routes.yaml") as document:
        routes = read_value(document, (), _ROUTES)
        check_failovers(document, routes.receivers)
    with _located(directory / "escalation.yaml") as document:
        policy = read_value(document, (), _POLICY)
        _check_targets(document, policy, routes.receivers)
    rules: dict[str, Rule] = {}
    for path in rule_files(directory):
        with _located(path) as document:
            for index, rule in enumerate(rules_of(document)):
                _check_rule(document, index, rule, rules, routes.receivers, directory)
                rules[rule.name] = rule
    with _located(directory / "routes.yaml") as document:
        _check_matchers(document, routes, rules)
    return AlertingConfig(tuple(rules.values()), policy, routes, routes.receivers)


def with_rules(config: AlertingConfig, path: Path) -> AlertingConfig:
    """`config` with the rules of one file in place of its own. Raises ConfigurationError."""
    rules: dict[str, Rule] = {}
    with _located(path) as document:
        for index, rule in enumerate(rules_of(document)):
            _check_rule(document, index, rule, rules, config.receivers, path.parent)
            rules[rule.name] = rule
    return replace(config, rules=tuple(rules.values()))


def rule_files(directory: Path) -> list[Path]:
    """In the order in which they are read. Raises ConfigurationError when there is none."""
    files = sorted((directory / "rules").glob("*.yaml"))
    if not files:
        raise ConfigurationError(f"there are no rules in {directory / 'rules'}")
    return files


def _check_rule(
    document: Document, index: int, rule: Rule, known: Mapping[str, Rule], receivers: Mapping[str, ReceiverConfig], directory: Path
) -> None:
    here = ("rules", index)
    subject = subject_of(document, here)
    if rule.name in known:
        raise DocumentError(f"{subject}it is there twice; names are identities", document.place((*here, "name")))
    for position, channel in enumerate(rule.channels):
        check_known(document, (*here, "channels", position), channel, receivers, subject)
    if not rule.runbook.startswith("https://") and not any((folder / rule.runbook).is_file() for folder in (directory, _ROOT)):
        raise DocumentError(f"{subject}there is no runbook {rule.runbook}", document.place((*here, "runbook")))


def _check_targets(document: Document, policy: EscalationPolicy, receivers: Mapping[str, ReceiverConfig]) -> None:
    for severity, chain in policy.severities.items():
        for index, step in enumerate(chain.steps):
            for position, target in enumerate(step.targets):
                path = ("severities", severity, "steps", index, "targets", position)
                check_known(document, path, target, receivers, f"{severity}: ")


def _check_matchers(document: Document, routing: Routing, rules: Mapping[str, Rule]) -> None:
    """A rule that is named wrongly would inhibit nothing, and nobody would see it."""
    for index, inhibition in enumerate(routing.inhibit):
        for side, matcher in (("source", inhibition.source), ("target", inhibition.target)):
            for name in matcher.get("rule", ()):
                if name not in rules:
                    place = document.place(("inhibit", index, side, "rule"))
                    raise DocumentError(f"inhibit: {name} is not a rule{did_you_mean(name, rules)}", place)


@contextmanager
def _located(path: Path) -> Iterator[Document]:
    """The file as a document; what is wrong with it is told with its name."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"cannot read {path}: it is not UTF-8") from None
    try:
        yield parse_document(text)
    except DocumentError as error:
        raise ConfigurationError(f"{path}:{error}") from None
