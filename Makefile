# One command per intent; `make` lists them. Everything works from a fresh clone: the targets make
# .venv from the lock first, and the control plane is built when a target needs it.

PYTHON ?= python3
UV_COMPILE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
             --no-emit-index-url --no-emit-find-links --no-header --no-config
# What is installed depends on the lock and on pyproject.toml up to the settings of the tools.
STAMP := .venv/.ready-$(shell { sed '/^\[tool.ruff\]/,$$d' pyproject.toml; cat requirements-dev.lock; } | cksum | tr ' ' '-')
RUN = .venv/bin/python -m
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check
# Control planes mostly wait, so everyday tests run in two halves: see `test`.
EVERYDAY = not slow and not bench
CODE = topology scheduler extender simulations muster.py tests

.DEFAULT_GOAL := help
.PHONY: help setup demo journey vendors test test-slow check format bench cluster-up cluster-down proto lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-14s%s\n", $$1, $$2}'

setup: $(STAMP) ## .venv with muster (editable) and all development tools

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Muster needs Python 3.11 or newer, and $(PYTHON) is not: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; } >&2
	@echo "setting up .venv (once per change of the lock)"
	@( seconds=0; while sleep 5; do seconds=$$((seconds + 5)); echo "  installing, $$seconds s"; done ) & \
	beat=$$!; trap 'kill $$beat' EXIT; set -e; \
	test -x .venv/bin/python || $(PYTHON) -m venv .venv; \
	$(PIP) --require-hashes --only-binary :all: -r requirements-dev.lock; \
	$(PIP) --no-deps --no-build-isolation --editable .
	@rm -f .venv/.ready-*
	@touch $@

demo: $(STAMP) ## gangs placed by a real kube-scheduler, in one table
	@$(RUN) simulations.demo

journey: $(STAMP) ## a user who knows only a model's name, on the real llmaz and LeaderWorkerSet
	@$(RUN) simulations.journey

vendors: $(STAMP) ## one workload on the cards of twelve vendors; writes VENDORS.md
	@$(RUN) simulations.vendors

test: $(STAMP) ## everyday tests, on a real control plane where there is one
	@$(RUN) simulations.controlplane || test "$$CI" != true
	@report=$$(mktemp); echo "beside these: what needs no control plane, reported at the end"; \
	nice $(RUN) pytest -m "not e2e and $(EVERYDAY)" > $$report 2>&1 & others=$$!; \
	trap 'kill $$others 2> /dev/null; rm -f $$report' EXIT; trap 'exit 1' INT TERM; verdict=0; \
	$(RUN) pytest -m "e2e and $(EVERYDAY)" || verdict=1; \
	wait $$others || verdict=1; cat $$report; \
	test $$verdict = 0 || { echo "something failed: see the two summaries above"; exit 1; }

test-slow: $(STAMP) ## the long repetitions
	@$(RUN) simulations.controlplane
	@$(RUN) pytest -m slow

check: $(STAMP) ## style, types, import contracts, generated code, lock: without running anything
	@.venv/bin/ruff check $(CODE)
	@.venv/bin/ruff format --check $(CODE)
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(RUN) pytest --quiet tests/architecture --ignore tests/architecture/test_checkers.py

format: $(STAMP) ## let ruff rewrite what it can
	@.venv/bin/ruff check --fix $(CODE)
	@.venv/bin/ruff format $(CODE)

bench: $(STAMP) ## every speed target with PASS or FAIL
	@$(RUN) simulations.controlplane
	@$(RUN) simulations.bench

cluster-up: $(STAMP) ## a local control plane with simulated nodes
	@.venv/bin/muster cluster up --nodes demo

cluster-down: $(STAMP) ## stop it; its data stays
	@.venv/bin/muster cluster down

proto: $(STAMP) ## generate the gRPC code again
	@$(RUN) grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. extender/muster_v1/*.proto

lock: ## newest versions that pyproject.toml allows
	@test -x .venv/bin/uv || { $(PYTHON) -m venv .venv && .venv/bin/python -m pip install --quiet uv; }
	@$(UV_COMPILE) --upgrade pyproject.toml --output-file requirements.lock
	@$(UV_COMPILE) --upgrade --extra dev --constraint requirements.lock pyproject.toml --output-file requirements-dev.lock

clean: ## remove .venv and caches; clusters and built programs stay
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
