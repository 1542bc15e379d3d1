"""One command for each role: it runs until it is stopped, and its settings say where everything is.

What a role needs is imported when it runs: other commands must not wait for it.
"""

from __future__ import annotations


def gateway() -> int:
    """Take events over HTTP and put them on Kafka; public, write-only.

    Example: `TELEMETRY_GATEWAY__WRITE_KEYS=key-1,key-2 telemetry gateway`
    """
    from pipeline.gateway.app import main
    from pipeline.runtime.settings import load_settings

    main(load_settings())
    return 0


def worker() -> int:
    """Turn events into numbers: panes on Kafka, rows in ClickHouse, dead letters. Run as many as there is work for.

    Example: `TELEMETRY_CLICKHOUSE__USER=writer TELEMETRY_CLICKHOUSE__PASSWORD=… telemetry worker`
    """
    from pipeline.runtime.settings import load_settings
    from pipeline.worker import main

    main(load_settings())
    return 0


def host() -> int:
    """Say every ten seconds how busy and how full this machine is: processors, memory, the data directory's disk. One on each machine.

    Example: `TELEMETRY_KAFKA__BOOTSTRAP_SERVERS=kafka:9092 telemetry host`
    """
    from pipeline.host.app import main
    from pipeline.runtime.settings import load_settings

    main(load_settings())
    return 0


def alerter() -> int:
    """Judge the rules whenever new numbers come, and say so on Kafka; one is active, others stand by.

    Example: `TELEMETRY_KAFKA__BOOTSTRAP_SERVERS=kafka:9092 telemetry alerter`
    """
    from alerting.alerter import main
    from pipeline.runtime.settings import load_settings

    main(load_settings())
    return 0


def notifier() -> int:
    """Tell people: send what escalations ask for to Slack and PagerDuty, and record each outcome.

    Example: `TELEMETRY_RECEIVERS__SLACK_CRITICAL__URL=https://… telemetry notifier`
    """
    from alerting.notifier import main
    from pipeline.runtime.settings import load_settings

    main(load_settings())
    return 0


def console() -> int:
    """Show open incidents on a page, and take what people do in Slack and PagerDuty. Internal: webhooks come in through a proxy.

    Example: `TELEMETRY_CONSOLE__SLACK_SIGNING_SECRET=… TELEMETRY_CONSOLE__PAGERDUTY_SECRETS=… telemetry console`
    """
    from pipeline.console.app import main
    from pipeline.runtime.settings import load_settings

    main(load_settings())
    return 0
