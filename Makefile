# Headwater's commands. CI calls the same targets. Written for GNU make 3.81 and later.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup
BASELINE := proto/baseline.binpb
GUIDED := $(VENV)/guided
JOBS ?= $(if $(HEADWATER_DATABASE_URL),0,auto)
TESTS := $(BIN)/pytest --numprocesses $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations 25 --durations-min 5
PROMETHEUS := .prometheus
CHROMIUM := .chromium

.DEFAULT_GOAL := help
.PHONY: realcrm test-realcrm record-realcrm help setup run up down load test test-fast bench-ingest bench-sync bench-policy bench-peers bench-identity peers-identity lock-peers load-kill load-soak bench-audit bench-auth bench-vault bench-tracing prove-traces prove-erasure test-security test-alerts test-browser drill-alerts dashboards bench-backfill bench-rebuild bench-reconcile parity bench-walls \
	load-overload load-abuse load-limits load-chaos fuzz fuzz-guided simulate histories lint format type proto proto-check proto-baseline \
	lock lock-check secrets-check sbom verify clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install the locked dependencies and Headwater itself into .venv (PYTHON=python3)

$(STAMP): requirements.lock pyproject.toml
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
		echo "make setup: no '$(PYTHON)' on PATH. Headwater needs Python 3.11 or later;" \
			"name one with: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make setup: '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1). Headwater needs Python 3.11 or later;" \
			"name one with: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "make setup: '$(PYTHON)' has no venv or ensurepip module." \
			"On Debian or Ubuntu install the package python3-venv, then try again." >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

run: $(STAMP) ## Start everything, feed real input, show progress, end with a summary (ARGS="...")
	$(BIN)/headwater run $(ARGS)

up: $(STAMP) ## Start everything and leave it running (ARGS="...")
	$(BIN)/headwater up $(ARGS)

down: $(STAMP) ## Stop what `make up` started (ARGS="...")
	$(BIN)/headwater down $(ARGS)

load: $(STAMP) ## Measure ingest with made-up events, on a database of its own unless told (ARGS="...")
	$(BIN)/headwater load $(if $(strip $(ARGS)),$(ARGS),--stack --verify --duration 10 --warm-up 2 --sampled 0.01)

test: $(STAMP) $(PROMETHEUS)/.tools ## Run all tests, files side by side on the cores (ARGS="..." JOBS=0 for one after the other)
	$(TESTS) $(ARGS)

test-fast: $(STAMP) ## Run the tests that start no process and inject no fault (ARGS="..." JOBS=0)
	$(TESTS) -m "not slow" $(ARGS)

test-alerts: $(STAMP) $(PROMETHEUS)/.tools ## Every alert fires when it must and only then: promtool, amtool (ARGS="...")
	$(BIN)/pytest tests/unit/alerting tests/integration/alerting $(ARGS)

drill-alerts: $(STAMP) $(PROMETHEUS)/.tools ## Live, 5 min: 13 faults in a whole Headwater, each raises its alert and no other (ARGS="--only NAME --keep")
	PYTHONPATH=services:. $(BIN)/python -m tests.system.drill --json drill-alerts.json $(ARGS)

test-browser: $(STAMP) $(CHROMIUM)/.fetched ## The trace page in a headless Chromium, at 1,000 spans (ARGS="...")
	$(BIN)/pytest tests/browser $(ARGS)

dashboards: $(STAMP) ## Write Grafana's dashboards from deploy/grafana/boards.py
	$(BIN)/python deploy/grafana/boards.py

# Without apt-get, promtool or a network it says so, and the tests that need them are skipped.
$(PROMETHEUS)/.tools: deploy/prometheus/tools.sh
	@sh deploy/prometheus/tools.sh $(PROMETHEUS)
	@touch $@

# Without apt-get, Chromium or a network it says so, and the tests that need it are skipped.
$(CHROMIUM)/.fetched: tests/browser/fetch.sh
	@sh tests/browser/fetch.sh $(CHROMIUM)
	@touch $@

load-limits: $(STAMP) ## A million simulated calls, then 4 processes that hand an account over; 0 windows over its limits (ARGS="--seconds 15")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.sync.limits $(ARGS)

load-chaos: $(STAMP) ## Kill workers and Postgres of a whole Headwater a hundred times: none lost, none doubled, order kept (ARGS="--kills N")
	PYTHONPATH=services:. $(BIN)/python -m tests.system.chaos --json load-chaos.json $(ARGS)

load-abuse: $(STAMP) ## Abuse ingest in every way we know and print what a well-behaved client felt (ARGS="--short")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.ingest.abuse $(ARGS)

PEERS := .peers
PEER_FILES := tests/load/ingest/peers
IDENTITY_PEER_FILES := tests/load/identity/peers
LOAD := PYTHONPATH=services:. $(BIN)/python -m tests.load.ingest

bench-ingest: $(STAMP) bench-peers ## Measure ingest against raw limits, a no-op server and peers, and what credentials cost; exit 1 below a goal (ARGS="--rounds 5 --seconds 3")
	$(LOAD).bench --json bench-ingest.json --picture bench-ingest.svg $(ARGS)

bench-sync: $(STAMP) bench-peers ## Measure the sync engine against its goals and peers; exit 1 below a goal (ARGS="--rounds 3 --only latency --short")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.sync.bench --json bench-sync.json $(ARGS)

bench-audit: $(STAMP) ## Measure what proving the audit costs, and how fast a million entries are verified (ARGS="--rounds 5 --short --only verify")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.audit.bench --json bench-audit.json $(ARGS)

bench-auth: $(STAMP) ## Measure what credentials cost ingest, a call and a batch of 100; exit 1 below a goal (ARGS="--rounds 5 --seconds 1.5")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.security.bench --json bench-auth.json $(ARGS)

bench-tracing: $(STAMP) ## Measure what tracing costs: 1 %, 100 %, a receiver that never answers; exit 1 below a goal (ARGS="--only stream --rounds 5")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.tracing.bench --json bench-tracing.json $(ARGS)

prove-traces: $(STAMP) ## 10,000 events at full sampling under faults: one graph each, nothing personal told (ARGS="--events 2000")
	PYTHONPATH=services:. $(BIN)/python -m tests.system.traced --json prove-traces.json $(ARGS)

prove-erasure: $(STAMP) ## A person erased under load, a kill and a CRM that is down: nothing in database, dump, WAL-restored copy
	PYTHONPATH=services:. $(BIN)/python -m tests.system.erased --json prove-erasure.json $(ARGS)

test-security: $(STAMP) ## Every method against every bad credential: prints the matrix, exit 1 when one is not refused as it should be
	PYTHONPATH=services:. $(BIN)/python -m tests.integration.security $(ARGS)

bench-vault: $(STAMP) ## Rotate the key of 10,000 stored secrets while deliveries run, and again, killed half-way (ARGS="--secrets 1000")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.vault.bench --json bench-vault.json $(ARGS)

bench-backfill: $(STAMP) ## Backfill 200,000 records beside live traffic, with SIGKILLs; 20 to 30 min (ARGS="--records 8000 --rate 300")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.backfill.bench --json bench-backfill.json $(ARGS)

bench-rebuild: $(STAMP) ## Make the projection of 100,000 events again from the log: how fast, and byte for byte (ARGS="--events 20000")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.backfill.rebuild --json bench-rebuild.json $(ARGS)
bench-reconcile: $(STAMP) ## Plant drift in two CRMs of 100,000 records: all found, all healed or asked for, nothing else touched (ARGS="--records 10000")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.sync.reconcile --json bench-reconcile.json $(ARGS)
bench-import: $(STAMP) ## Import 40,000 contacts into Salesforce in bulk beside live changes; exit 1 below a goal (ARGS="--contacts 10000")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.importing.bench --json bench-import.json $(ARGS)
bench-walls: $(STAMP) ## Measure what roles and row level security cost ingest, delivery and a call; exit 1 above a goal (ARGS="--rounds 5 --short")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.walls.bench --json bench-walls.json $(ARGS)

bench-peers: $(PEERS)/.python $(PEERS)/.node ## Install the peers of bench-ingest and bench-sync into .peers, apart from the product

bench-policy: $(STAMP) ## Measure deciding, normalising and what a full policy costs; exit 1 below a goal (ARGS="--rounds 3")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.policy.bench --json bench-policy.json $(ARGS)

bench-identity: $(STAMP) peers-identity ## Measure identity against Splink, recordlinkage, dedupe and exact keys (ARGS="--short --only quality,orders")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.identity.bench --json bench-identity.json $(ARGS)

peers-identity: $(PEERS)/.identity ## Install the peers of bench-identity into .peers, apart from the product

# A peer that cannot be installed is reported by the bench, whose figure then fails.
$(PEERS)/.python: $(PEER_FILES)/requirements.txt
	@mkdir -p $(PEERS)
	-@"$(PYTHON)" -m venv $(PEERS)/python && $(PEERS)/python/bin/python -m pip install --quiet \
		--disable-pip-version-check --require-hashes -r $(PEER_FILES)/requirements.txt && touch $@

$(PEERS)/.identity: $(IDENTITY_PEER_FILES)/requirements.txt
	@mkdir -p $(PEERS)
	-@"$(PYTHON)" -m venv $(PEERS)/identity && $(PEERS)/identity/bin/python -m pip install --quiet \
		--disable-pip-version-check --require-hashes -r $(IDENTITY_PEER_FILES)/requirements.txt && touch $@

$(PEERS)/.node: $(PEER_FILES)/package-lock.json $(PEER_FILES)/package.json
	@mkdir -p $(PEERS)/node
	-@cp $(PEER_FILES)/package.json $(PEER_FILES)/package-lock.json $(PEERS)/node/ && cd $(PEERS)/node && \
		npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch ../.node

PARITY_DRIVERS := tests/contract/parity/drivers

parity: $(STAMP) $(PEERS)/.parity ## Drive the vendors' own clients again and compare what they send with what is recorded (ARGS="--write")
	PYTHONPATH=services:. $(BIN)/python -m tests.contract.parity.record $(PEERS)/parity $(ARGS)

$(PEERS)/.parity: $(PARITY_DRIVERS)/dynamics/requirements.txt $(wildcard $(PARITY_DRIVERS)/pipedrive/*)
	@mkdir -p $(PEERS)/parity/pipedrive
	cp $(PARITY_DRIVERS)/pipedrive/package.json $(PARITY_DRIVERS)/pipedrive/package-lock.json \
		$(PARITY_DRIVERS)/pipedrive/drive.mjs $(PEERS)/parity/pipedrive/
	cd $(PEERS)/parity/pipedrive && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	"$(PYTHON)" -m venv $(PEERS)/parity/dynamics && $(PEERS)/parity/dynamics/bin/python -m pip install --quiet \
		--disable-pip-version-check --require-hashes -r $(PARITY_DRIVERS)/dynamics/requirements.txt
	touch $@

REALCRM := $(PEERS)/realcrm
REALCRM_FILES := tests/realcrm
REALCRM_PYTHON ?= $(shell for one in python3.13 python3.12 "$(HOME)"/.pyenv/versions/3.1[23]*/bin/python; do \
	"$$one" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && { command -v "$$one"; break; }; done)

realcrm: $(REALCRM)/.python ## Install BottleCRM, a real CRM, into .peers, apart from the product (needs Python 3.12 or newer)

test-realcrm: $(STAMP) realcrm ## A real BottleCRM as sink and polled source, through 429s, restarts and lost answers; some 10 min (ARGS="--contacts 1000 --deals 100")
	PYTHONPATH=services:. HEADWATER_REALCRM=$(REALCRM) $(BIN)/python -m pytest $(REALCRM_FILES)/conformance.py -q $(EVIDENCE)
	PYTHONPATH=services:. HEADWATER_REALCRM=$(REALCRM) $(BIN)/python -m tests.realcrm.bench --json bench-realcrm.json $(ARGS)

record-realcrm: $(STAMP) realcrm ## Record anew what a real BottleCRM answers, for the tests that run without it
	PYTHONPATH=services:. HEADWATER_REALCRM=$(REALCRM) $(BIN)/python -m tests.realcrm.record

$(REALCRM)/.python: $(REALCRM_FILES)/requirements.txt
	@mkdir -p $(REALCRM)
	@test -n "$(REALCRM_PYTHON)" || { echo "BottleCRM needs Python 3.12 or newer; name one: make realcrm REALCRM_PYTHON=/path/to/python3.12"; exit 1; }
	"$(REALCRM_PYTHON)" -m venv $(REALCRM)/python && $(REALCRM)/python/bin/python -m pip install --quiet \
		--disable-pip-version-check --require-hashes -r $(REALCRM_FILES)/requirements.txt && touch $@

lock-peers: ## Compile the locks of the bench's peers (needs uv, npm and the network)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		-o $(PEER_FILES)/requirements.txt $(PEER_FILES)/requirements.in
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		-o $(IDENTITY_PEER_FILES)/requirements.txt $(IDENTITY_PEER_FILES)/requirements.in
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		-o $(PARITY_DRIVERS)/dynamics/requirements.txt $(PARITY_DRIVERS)/dynamics/requirements.in
	uv pip compile --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-header \
		-o $(REALCRM_FILES)/requirements.txt $(REALCRM_FILES)/requirements.in
	cd $(PARITY_DRIVERS)/pipedrive && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts
	cd $(PEER_FILES) && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts

load-kill: $(STAMP) ## Kill server and Postgres under 2 million events: none lost, none doubled (ARGS="--events N --kills N")
	$(LOAD).kill --json load-kill.json $(ARGS)

load-soak: $(STAMP) ## Ten minutes at 80 % of the limit: memory flat, latency bounded (ARGS="--seconds N")
	$(LOAD).endurance soak --json load-soak.json $(ARGS)

load-overload: $(STAMP) ## Five minutes at ten times the limit: memory flat, acks true, refusals told (ARGS="--seconds N")
	$(LOAD).endurance overload --json load-overload.json $(ARGS)

lint: $(STAMP) ## Check Python and SQL style and the walls between rooms
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python tests/checks/sql.py services
	$(BIN)/lint-imports

format: $(STAMP) ## Rewrite Python files into the house format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

type: $(STAMP) ## Check types, tests included
	$(BIN)/mypy

proto: $(STAMP) ## Generate the Python code of the protos
	PYTHON=$(BIN)/python sh proto/generate.sh

proto-check: $(STAMP) ## Check the protos: style, compatibility with the released contract, generated code up to date
	$(BIN)/buf lint proto
	$(BIN)/buf breaking proto --against $(BASELINE)
	PYTHON=$(BIN)/python sh proto/check.sh

proto-baseline: $(STAMP) ## Release the protos: later breaking changes are measured against them
	$(BIN)/buf build proto --exclude-source-info -o $(BASELINE)

lock: ## Compile requirements.lock from pyproject.toml (needs uv and the network)
	uv pip compile --universal --generate-hashes --no-emit-index-url --extra all --extra dev --extra load \
		-o requirements.lock pyproject.toml

lock-check: $(STAMP) ## Check, offline, that requirements.lock answers pyproject.toml and is what .venv holds
	$(BIN)/python tests/checks/lock.py
	PYTHONPATH=services $(BIN)/python tests/checks/dependencies.py

secrets-check: $(STAMP) ## Look for secrets in the files of the repository
	PYTHONPATH=. $(BIN)/python tests/checks/secrets.py

sbom: $(STAMP) ## Write what is installed, with versions and licences, to sbom.cdx.json (CycloneDX)
	$(BIN)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible \
		--output-format JSON --output-file sbom.cdx.json

verify: lint type proto-check lock-check secrets-check ## Check everything that needs no running: style, walls, types, protos, lock, secrets

simulate: $(STAMP) ## Run the sync engine under virtual time with seeded faults; a failing seed leaves a bundle (ARGS="--seeds 10000 --start N --jobs 2 --ablations")
	PYTHONPATH=services:. $(BIN)/python -m tests.simulation $(ARGS)

histories: $(STAMP) ## Check histories of concurrent identity clients under faults, 64 resolvers, and undoing (ARGS="--histories 10000 --faulted 400 --records 20000 --sequences 10000")
	PYTHONPATH=services:. $(BIN)/python -m tests.identity_histories $(ARGS)

fuzz: $(STAMP) ## A million generated requests against a real ingest process (ARGS="--requests N --seed S --minutes M")
	PYTHONPATH=services:. $(BIN)/python -m tests.fuzz $(ARGS)

fuzz-callers: $(STAMP) ## Five million requests of all methods by good and bad callers, some 35 min: no fault of ours, no byte of another tenant (ARGS="--requests N --seed S --minutes M")
	PYTHONPATH=services:. $(BIN)/python -m tests.fuzz.callers --json fuzz-callers.json $(ARGS)

fuzz-guided: $(GUIDED)/.setup ## Coverage-guided fuzzing of the door's pure parts (ARGS="--seconds N --target event")
	PYTHONPATH=services:.:$(GUIDED) $(BIN)/python -m tests.fuzz.guided $(ARGS)

$(GUIDED)/.setup: $(STAMP) tests/fuzz/requirements-guided.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade \
		--target $(GUIDED) -r tests/fuzz/requirements-guided.txt
	@touch $@

clean: ## Delete what the other targets made, .venv included
	rm -rf $(VENV) $(PEERS) $(PROMETHEUS) $(CHROMIUM) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find services tests -name __pycache__ -type d -prune -exec rm -rf {} +
