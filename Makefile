# Headwater's commands. CI calls the same targets. Written for GNU make 3.81 and later.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup
BASELINE := proto/baseline.binpb

.DEFAULT_GOAL := help
.PHONY: help setup run up down test test-fast load-abuse lint format type proto proto-check proto-baseline \
	lock lock-check verify clean

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

test: $(STAMP) ## Run all tests (ARGS="...")
	$(BIN)/pytest $(ARGS)

test-fast: $(STAMP) ## Run the tests that start no process and inject no fault (ARGS="...")
	$(BIN)/pytest -m "not slow" $(ARGS)

load-abuse: $(STAMP) ## Abuse ingest in every way we know and print what a well-behaved client felt (ARGS="--short")
	PYTHONPATH=services:. $(BIN)/python -m tests.load.ingest.abuse $(ARGS)

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
	uv pip compile --universal --generate-hashes --no-emit-index-url --extra dev \
		-o requirements.lock pyproject.toml

lock-check: $(STAMP) ## Check, offline, that requirements.lock answers pyproject.toml and is what .venv holds
	$(BIN)/python tests/checks/lock.py

verify: lint type proto-check lock-check ## Check everything that needs no running: style, walls, types, protos, lock

clean: ## Delete what the other targets made, .venv included
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find services tests -name __pycache__ -type d -prune -exec rm -rf {} +
