"""The files of this folder: rules, escalation steps and receivers, read whole and checked against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from alerting.engine.escalation import Chains, parse_chains
from alerting.engine.rule import Rule, RuleError, parse_rules
from pipeline.runtime.errors import ConfigurationError

CONFIG_DIR: Final = Path(__file__).parent

ReceiverKind = Literal["slack", "pagerduty"]


class _Routes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    receivers: dict[str, ReceiverKind]


@dataclass(frozen=True, slots=True)
class AlertingConfig:
    """`receivers`: name → what it is reached by. Every name in a rule or a step is one of them."""

    rules: tuple[Rule, ...]
    chains: Chains
    receivers: Mapping[str, ReceiverKind]


def load_config(directory: Path = CONFIG_DIR) -> AlertingConfig:
    """Read rules/*.yaml, escalation.yaml and routes.yaml. Raises ConfigurationError with one line that names file and field."""
    receivers = _load_receivers(directory / "routes.yaml")
    try:
        chains = parse_chains(_text(directory / "escalation.yaml"))
    except RuleError as error:
        raise ConfigurationError(f"escalation.yaml: {error}") from None
    for severity, steps in chains.items():
        _check_known("escalation.yaml", severity, [target for step in steps for target in step.targets], receivers)
    rules: dict[str, Rule] = {}
    for path in sorted((directory / "rules").glob("*.yaml")):
        for rule in _load_rules(path):
            if rule.name in rules:
                raise ConfigurationError(f"{path.name}: rule {rule.name} is there twice; names are identities")
            _check_known(path.name, f"rule {rule.name}", rule.channels, receivers)
            rules[rule.name] = rule
    if not rules:
        raise ConfigurationError(f"there are no rules in {directory / 'rules'}")
    return AlertingConfig(tuple(rules.values()), chains, receivers)


def _load_rules(path: Path) -> tuple[Rule, ...]:
    try:
        return parse_rules(_text(path))
    except RuleError as error:
        raise ConfigurationError(f"{path.name}: {error}") from None


def _load_receivers(path: Path) -> Mapping[str, ReceiverKind]:
    try:
        return _Routes.model_validate(yaml.safe_load(_text(path))).receivers
    except (yaml.YAMLError, ValidationError) as error:
        reason = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else " ".join(str(error).split())
        raise ConfigurationError(f"{path.name}: {reason}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None


def _check_known(file: str, where: str, names: list[str] | tuple[str, ...], receivers: Mapping[str, ReceiverKind]) -> None:
    for name in names:
        if name not in receivers:
            raise ConfigurationError(f"{file}, {where}: {name} is not a receiver; routes.yaml has {', '.join(receivers)}")
