# Everything a newcomer needs: `make demo` and `make test` do their own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
MINUTES ?= 120
LOAD_MINUTES ?= 10
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: help env demo serve test docs bench scale load fuzz lint prior clean

help:  ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

env: $(INSTALLED)  ## create or refresh .venv

$(INSTALLED): pyproject.toml client/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "$(PYTHON) is missing or older than 3.11. Name a newer one: make PYTHON=python3.12 $(or $(MAKECMDGOALS),env)" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian or Ubuntu install python3-venv." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv (once, a few minutes: torch is large) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ./client -e '.[api,worker,docs,dev]'
	@touch $@

demo: $(INSTALLED)  ## adapt and generate over HTTP; DATA=folder (one sub-folder a class) for your own images
	@$(BIN)/defectsynth demo $(if $(DATA),--data '$(DATA)')

serve: $(INSTALLED)  ## keep the embedded service running on 127.0.0.1:8000
	@$(BIN)/defectsynth serve

test: $(INSTALLED) lint  ## get the servers the tests need, check the style and run every test
	@.ci/servers
	@# The tests' networks are tiny: more threads only wait for each other, most of all on a busy machine.
	@# Files side by side, not tests: many share processes that are started once a file. Whole services come after the
	@# rest, so that no more than two of them have the cores.
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/integration --ignore tests/e2e
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile tests/integration tests/e2e

docs: $(INSTALLED)  ## build the documentation into build/site, without a warning and without a network
	@NO_MKDOCS_2_WARNING=1 PYTHONPATH=.:client/src $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html; to search it: $(PYTHON) -m http.server --directory build/site"

bench: $(INSTALLED)  ## print the speed and memory figures (an hour); DIFFUSERS=clone of huggingface/diffusers
	@$(BIN)/python -m pytest tests/benchmarks -m benchmark -s
	@$(BIN)/python -m tests.benchmarks.api_speed
	@$(BIN)/python tests/benchmarks/row_cost.py
	@$(BIN)/python tests/benchmarks/generation.py
	@$(BIN)/python tests/benchmarks/score_speed.py
	@$(BIN)/python tests/benchmarks/classifier_speed.py
	@$(BIN)/python tests/benchmarks/compiled.py
	@$(if $(DIFFUSERS),$(BIN)/python tests/benchmarks/adaptation.py --diffusers '$(DIFFUSERS)',\
	  echo "Adaptation was not compared: name a clone of huggingface/diffusers, make bench DIFFUSERS=folder.")
	@echo "How time and memory grow takes an hour more: make scale."

scale: $(INSTALLED)  ## print how time and memory grow with images, classes, adapters and jobs (an hour)
	@nice -n 5 $(BIN)/python tests/benchmarks/scale.py

load: $(INSTALLED)  ## 1,000 queued jobs and 200 polls a second; LOAD_MINUTES=10
	@$(BIN)/python -m tests.benchmarks.service_load --minutes $(LOAD_MINUTES)

fuzz: $(INSTALLED)  ## 10,000 hostile files through the intake, and long runs of schemathesis (half an hour)
	@FUZZ_INPUTS=10000 $(BIN)/python -m pytest -s tests/fuzz
	@SCHEMATHESIS_EXAMPLES=100 $(BIN)/python -m pytest -s tests/contract/test_schemathesis.py

lint: $(INSTALLED)  ## ruff, mypy --strict and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

prior: $(INSTALLED)  ## train the bundled base model, or train it on; MINUTES=120 is the budget of all runs together
	@$(BIN)/python -m models.prior.train --minutes $(MINUTES)

clean:  ## remove caches and build outputs; keeps .venv, .prior and .defectsynth
	@rm -rf build dist demo-output *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
