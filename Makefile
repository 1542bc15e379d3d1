# Needs Python 3.11 or later and make, nothing else. Another Python: make setup PYTHON=python3.12
PYTHON ?= python3
BIN := .venv/bin
CHAOS_SEEDS ?= 1-20
CHAOS_SECONDS ?= 60
CHAOS_ALERTS_SEEDS ?= 1-3

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

.PHONY: help
help: ## this list
	@$(PYTHON) -c 'import re, sys; [print(f"make {name:<15} {text}") for name, text in re.findall(r"^([\w-]+):.*?## (.*)", open(sys.argv[1]).read(), re.M)]' Makefile

.PHONY: setup
setup: .venv/installed ## the virtual environment .venv, the Kafka jars and the demo's data; fast when nothing changed
	@$(BIN)/python -m pipeline.embedded.kafka_jars fetch
	@$(BIN)/python -m pipeline.demo.retail

.PHONY: up
up: setup ## the whole stack on loopback, in the background
	@$(BIN)/telemetry up --detach

.PHONY: down
down: setup ## stop it
	@$(BIN)/telemetry down

.PHONY: demo
demo: setup ## real data, live traffic and one incident, from the first failure to the resolution; about three minutes
	@$(BIN)/telemetry demo

.PHONY: test
test: setup ## all tests that need nothing more than setup brings
	$(BIN)/python -m pytest
	@$(BIN)/python -c 'print("Not run: make test-long (outages, every alert rule and the whole demo, ten minutes, and git), make test-go (it needs Go), make test-browser (it needs Chromium and npm), make test-generated (it needs Node), make test-prometheus (it needs promtool), make recorded-hour (an hour), make bench-alert and make chaos (each takes half an hour and more), make bench, make outage and make chaos-alerts (a quarter of an hour each), make retention and make chaos-selftest (ten minutes each), make fuzz (five minutes), make outage-sdk and make false-alarms (three minutes each).")'

.PHONY: test-long
test-long: setup ## brokers, engines and gateways that die, fill up and come back, every alert rule on live traffic, and the whole demo; about ten minutes
	$(BIN)/python -m pytest -m long

.PHONY: test-go
test-go: setup ## clickhouse-go over HTTP against the embedded ClickHouse; needs Go
	$(BIN)/python -m pytest tests/contract/clickhouse_go/run_clickhouse_go.py

.PHONY: test-generated
test-generated: setup ## the generated documents in the tools of AsyncAPI and TypeScript; needs Node and npm
	npm ci --prefix tests/contract/generated --ignore-scripts --no-audit --no-fund --loglevel=error
	$(BIN)/python -m pytest tests/contract/generated/run_generated.py

.PHONY: test-prometheus
test-prometheus: ## the rules that watch the pipeline from outside, on series that go wrong; needs promtool, which comes with Prometheus
	promtool check config --syntax-only grafana/compose/prometheus.yml
	promtool check rules grafana/prometheus/rules.yml
	promtool test rules tests/prometheus/rules.test.yml

.PHONY: test-browser
test-browser: setup ## web vitals of real page loads in Chromium, looked for in ClickHouse; a minute; needs Chromium and npm
	$(BIN)/python -m pytest -n 0 tests/browser/run_browser.py

.PHONY: bench
bench: setup build/peers-venv/installed ## our worker beside stock Faust, a plain loop, quixstreams and bytewax; latency, growth, scaling; BENCH_EVENTS, BENCH_ROUNDS
	@$(BIN)/python -m tests.bench

.PHONY: chaos
chaos: setup ## load and faults at the same time, then an oracle, for twenty seeds; about fifty minutes; CHAOS_SEEDS, CHAOS_SECONDS
	$(BIN)/python -m tests.chaos.run --seeds $(CHAOS_SEEDS) --seconds $(CHAOS_SECONDS)

.PHONY: chaos-selftest
chaos-selftest: setup ## the oracles find six planted bugs, each for what it is; about ten minutes
	$(BIN)/python -m tests.chaos.selftest
	$(BIN)/python -m tests.chaos.alerting.selftest

.PHONY: chaos-alerts
chaos-alerts: setup ## fifty incidents while alerters and notifiers are killed and frozen, for three seeds; a quarter of an hour; CHAOS_ALERTS_SEEDS
	$(BIN)/python -m tests.chaos.alerting.run --seeds $(CHAOS_ALERTS_SEEDS)

.PHONY: outage
outage: setup ## ten minutes without ClickHouse at 1,000 events/s, with an incident meanwhile; fifteen minutes; OUTAGE_SECONDS, OUTAGE_EVENTS_PER_S
	$(BIN)/python -m tests.outages.run

.PHONY: outage-sdk
outage-sdk: setup ## a service publishes while its gateway is killed for a minute, and hangs for another; three minutes; OUTAGE_SECONDS
	$(BIN)/python -m tests.outages.sdk

.PHONY: bench-alert
bench-alert: setup ## twenty full outages, from the first failed menu to the page; about half an hour; BENCH_INCIDENTS, BENCH_EVENTS_PER_S
	$(BIN)/python -m tests.bench.alert_latency

.PHONY: recorded-hour
recorded-hour: setup ## an hour of a live stack with outages, then a backtest over it, row for row beside the ledger; RECORDED_MINUTES
	$(BIN)/python -m tests.bench.recorded_hour

.PHONY: false-alarms
false-alarms: setup ## a thousand healthy days and outages of all sizes, simulated: false pages, and time to detect; three minutes; FALSE_ALARM_DAYS
	@$(BIN)/python -m tests.bench.false_alarms

.PHONY: fuzz
fuzz: setup ## bytes that nobody should send, to decode and to a real gateway, for FUZZ_SECONDS (300)
	$(BIN)/python -m tests.poison.fuzz

.PHONY: retention
retention: setup ## retention of real people (CDNOW, Online Retail II) through the whole chain, beside pandas; about ten minutes
	$(BIN)/python -m pytest -n 0 -s tests/retention

.PHONY: generate
generate: setup ## JSON Schemas, TypeScript types, the AsyncAPI document and the typed views, from the models
	$(BIN)/python -m schemas.generate
	$(BIN)/python -m pipeline.clickhouse.typed_view_files

.PHONY: lint
lint: setup ## format, lint, types, layers, generated files, what the schemas' changes break
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/mypy grafana/build.py grafana/queries.py
	$(BIN)/lint-imports
	$(BIN)/python -m schemas.generate --check
	$(BIN)/python -m pipeline.clickhouse.typed_view_files --check
	$(BIN)/python -m schemas.compatibility

.PHONY: wheel
wheel: setup ## build the package into dist/
	$(BIN)/python -m build --wheel --no-isolation

# Stamps are written last, so what was interrupted is done again. A changed lock makes a new environment: nothing old stays in it.
.venv/locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed and this is " + sys.version.split()[0] + ": make setup PYTHON=python3.11")'
	@$(PYTHON) -c 'print("Installing what requirements.lock names into .venv; the first time this takes a few minutes.")'
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -c 'open("$@", "w").close()'

.venv/installed: .venv/locked pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -c 'open("$@", "w").close()'

# The peers of the benchmark share nothing with the product's environment. The lock is whole, and wider than one of them asks for.
build/peers-venv/installed: tests/bench/peers.lock
	@$(PYTHON) -c 'print("Installing what tests/bench/peers.lock names into build/peers-venv.")'
	@$(PYTHON) -m venv --clear build/peers-venv
	@build/peers-venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r tests/bench/peers.lock
	@$(PYTHON) -c 'open("$@", "w").close()'
