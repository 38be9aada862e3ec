# Needs python3 >= 3.11, make and git; everything else it brings in. A second call does only what changed.
#
#   make up [ARGS="--http-port 0"]    install, then run `accredit up`
#   make test                         set-up of the outside components, lint, all tests
#   make conformance [ARGS="--seed fresh"]   thousands of random cases on the real nats-server and on ours
#   make fuzz                         a million mutated inputs against the broker's reader and its door
#   make lint | format | bench [GROUP=authority|broker|callout] | migrations-check | setup | setup-test | clean

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first interpreter that is new enough: python3 may be an old one.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
PACKAGES := issuer callout broker web
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS)

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help up test test-fast test-system conformance fuzz lint format bench migrations-check setup setup-test clean

help:
	@sed -n '3,7s/^# *//p' Makefile

# --- set-up ---------------------------------------------------------------------------------------

$(VENV)/.made:
	@if [ -z "$(PYTHON)" ]; then echo "error: no Python 3.11 or newer found; name one: make PYTHON=/path/to/python3" >&2; exit 1; fi
	@# Debian ships venv's pip apart from Python.
	@if ! $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then \
		package=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$package; \
		else \
			echo "error: $(PYTHON) cannot make virtual environments; as root: apt-get install $$package" >&2; exit 1; \
		fi; \
	fi
	$(PYTHON) -m venv $(VENV)
	@# Dependency groups need pip 25.1.
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.test-installed: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group test --group lint
	@touch $@

setup: $(VENV)/.installed

# Says itself what it could not have, and why; build/components.json keeps it.
setup-test: $(VENV)/.test-installed
	@$(BIN)/python -m tests.setup

# --- work -----------------------------------------------------------------------------------------

up: setup
	@exec $(BIN)/accredit up $(ARGS)

test: setup-test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test-fast
	@$(MAKE) --no-print-directory test-system

test-fast: $(VENV)/.test-installed
	$(PYTEST) tests --ignore=tests/system $(ARGS)

# One file's tests stay in one process: they share servers, and the load on two cores stays even.
test-system: $(VENV)/.test-installed
	$(PYTEST) tests/system --dist loadfile $(ARGS)

conformance: setup-test
	$(BIN)/python -m tests.conformance $(ARGS)

fuzz: setup-test
	$(BIN)/python -m tests.fuzz $(ARGS)

lint: $(VENV)/.test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES) tests/*.py tests/conformance tests/fuzz tests/setup tests/peers
	$(BIN)/lint-imports

format: $(VENV)/.test-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup-test
	$(BIN)/python -m tests.bench $(if $(GROUP),--group $(GROUP)) $(ARGS)

migrations-check: setup-test
	$(PYTEST) tests/migrations

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf tests/peers/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
