# The commands of this project. A fresh machine needs Python 3.11 or newer, make and git; nothing else.
PYTHON ?= python3
LOCK_FLAGS ?=
CHAOS ?=
FUZZ ?=
BENCH ?=

BIN := .venv/bin
CODE := schemas runtime ingest workers console tests
RUNTIME := .venv/.runtime-installed
DEV := .venv/.dev-installed
# A lock names versions and hashes only: where packages come from is the business of each machine's own pip settings.
# Each is complete (--no-deps), and bytecode is made when first used: both save a fresh machine time.
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq install --no-deps --no-compile
COMPILE := $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(LOCK_FLAGS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check lint containers bench chaos fuzz manifests lock sbom audit test-broker test-store clean examples contract

help:  ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 18

demo: $(RUNTIME)  ## 200 calls through the whole pipeline, and a ledger that balances (or says why not)
	@$(BIN)/callstitch up --demo

# Most tests wait most of the time, so some files run at once, each worker with services of its own. Servers from
# outside are one for all: then one file after the other.
WORKERS ?= $(if $(CALLSTITCH_TEST_AMQP)$(CALLSTITCH_TEST_POSTGRES),0,5)
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

check: lint  ## Lint, types, import contracts and the unit tests, in under two minutes: before each commit
	@$(PYTEST) tests/unit

test: lint  ## Lint, types, import contracts, then every test; says which were skipped and why
	@$(PYTEST)

# Servers from outside, which others run: one file after the other, and those tests alone that need one.
OUTSIDE := tests/contracts tests/integration tests/scenarios tests/e2e

test-broker: $(DEV)  ## The tests of brokers, on the RabbitMQ that CALLSTITCH_TEST_AMQP names (or a private one)
	@$(PYTEST) $(OUTSIDE) -m rabbitmq

test-store: $(DEV)  ## The tests of stores, on the PostgreSQL that CALLSTITCH_TEST_POSTGRES names (or a private one)
	@$(PYTEST) $(OUTSIDE) -k postgresql

lint: $(DEV)  ## Lint, format, types and import contracts, without the tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(CODE)
	@$(BIN)/lint-imports

# Needs root, and Debian's packages or podman; CALLSTITCH_CONTAINERS=FOLDER keeps the stand-ins for the next run.
containers: $(DEV)  ## The image and deploy/compose.yaml in real containers: scaled, killed and restarted under load
	@CI=true $(BIN)/pytest tests/containers -s

# BENCH says more: make bench BENCH='--beside 7189888' measures that commit's tree in the same run, '--python 3.14' runs
# ours on Debian's Python of that version (or on a path); --help tells it all. All of it takes about an hour:
#   make bench BENCH='--python 3.13 --python 3.14 --python /usr/bin/python3.11 --beside 7189888 --beside 2266290'
bench: $(DEV)  ## The benchmarks, each peer in the same run; a whole run writes docs/bench.md
	@$(BIN)/python -m tests.bench $(BENCH)

# FLAMES='--python 3.13' takes Debian's Python of that version; about two minutes.
FLAMES ?=
.PHONY: flames
flames: $(DEV)  ## Flame graphs of ingest, dedupe and correlate at full load, made anew in docs
	@$(BIN)/python -m tests.bench.flames $(FLAMES)

# CHAOS says more: make chaos CHAOS='--faults all --seconds 600 --seed 7'; --help tells it all.
chaos: $(DEV)  ## Kill, stop and cut everything under load for a minute; then nothing may be lost, wrong or said twice
	@$(BIN)/python -m tests.chaos $(CHAOS)

# CHAOS says more, as above; CALLSTITCH_TEST_RABBITMQ=forky takes the RabbitMQ of that suite of Debian. The containers
# need what `make containers` does, and take five minutes.
.PHONY: cluster
cluster: $(DEV)  ## Three RabbitMQ nodes, the one that leads killed or stopped: as containers, then two minutes at 300/s
	@CI=true $(BIN)/pytest tests/containers/three_nodes.py -s
	@$(BIN)/python -m tests.chaos --cluster --faults broker --seconds 120 --rate 300 $(CHAOS)

# FUZZ says more: make fuzz FUZZ='--seconds 60 --seed 7 --platform jiuyun_axb'; --help tells it all.
fuzz: $(DEV)  ## An hour of pushes that nobody would send, and the whole contract over each; what breaks it is printed
	@$(BIN)/python -m tests.fuzz $(FUZZ)

# VALUES='my.yaml other.yaml' renders yours; NAMESPACE and RELEASE name what they say.
VALUES ?= deploy/helm/callstitch/values-small.yaml
NAMESPACE ?= callstitch
RELEASE ?= callstitch
manifests: $(DEV)  ## The chart as plain manifests in var/manifests.yaml, for kubectl without Helm
	@mkdir -p var
	@PATH="$(BIN):$$PATH" helm template $(RELEASE) deploy/helm/callstitch --namespace $(NAMESPACE) $(VALUES:%=-f %) \
		> var/manifests.yaml.new
	@mv var/manifests.yaml.new var/manifests.yaml
	@echo 'var/manifests.yaml: kubectl -n $(NAMESPACE) apply -f var/manifests.yaml'

examples: $(DEV)  ## callstitch.example.toml, deploy/env.example and docs/metrics.md's tables, made again from the code
	@$(BIN)/python -m console.reference.example
	@$(BIN)/python -m console.reference.metrics

contract: $(DEV)  ## docs/contract (AsyncAPI, JSON Schemas, golden events), made again from the code
	@$(BIN)/python -m console.contract.export

# LOCK_FLAGS=--upgrade takes the newest releases that pyproject.toml allows; without it the pins stay where they can.
lock: $(DEV)  ## Make the lock files again from pyproject.toml
	@printf 'pip\nsetuptools>=80\n' | $(COMPILE) - --output-file requirements/build.lock
	@$(COMPILE) pyproject.toml --output-file requirements/runtime.lock
	@$(COMPILE) pyproject.toml --extra otel -c requirements/runtime.lock --output-file requirements/otel.lock
	@$(COMPILE) pyproject.toml --extra dev --extra otel -c requirements/build.lock -c requirements/otel.lock \
		--output-file requirements/dev.lock
	@printf 'moto[s3]>=5.2,<6\nflask>=3.1,<4\nflask-cors>=6,<7\n' | $(COMPILE) - --output-file requirements/stand-ins.lock
	@! grep -nE '^ *-[^-]|^--|://' requirements/*.lock

SBOM ?= build/callstitch.cdx.json

sbom: $(DEV)  ## What the image holds of Python, as a CycloneDX SBOM of its lock: build/callstitch.cdx.json
	@mkdir -p $(dir $(SBOM))
	@$(BIN)/python -W ignore $(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application \
		--output-reproducible --output-format JSON --output-file $(SBOM) requirements/otel.lock

audit: $(DEV)  ## Look every pin up in the database of advisories (needs the registry itself: a mirror has none)
	@$(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off \
		-r requirements/build.lock -r requirements/dev.lock

clean:  ## Remove the environment, the caches, the demo and the fault kit's logs; what `callstitch up` keeps in var/ stays
	@rm -rf .venv var/demo var/chaos build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: PYTHON=... make")'
	@$(PYTHON) -m venv .venv

$(RUNTIME): requirements/build.lock requirements/runtime.lock pyproject.toml | $(BIN)/python
	@echo 'Installing what Callstitch runs on into .venv (once)'
	@$(PIP) --require-hashes -r requirements/build.lock
	@$(PIP) --require-hashes -r requirements/runtime.lock
	@$(PIP) --no-build-isolation -e .
	@touch $@

$(DEV): requirements/dev.lock $(RUNTIME)
	@echo 'Installing what its tests need into .venv (once)'
	@$(PIP) --require-hashes -r requirements/dev.lock
	@touch $@
