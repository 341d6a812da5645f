# Needs Python 3.11 or later and make; everything else goes into .venv at the first call.
# Another Python: make PYTHON=python3.12 demo

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PACKAGES := probing_datasets sparse_probing
# Files of tests run beside each other: a process for each CPU, at most four (each takes 1 to 2 GB).
PYTEST := $(BIN)/pytest -n auto --maxprocesses 4 --dist loadgroup
SCRIPTS := get_activations.py probing_experiment.py

.DEFAULT_GOAL := help
.PHONY: help demo test check test-fast lint format install benchmarks clean

help: ## Show this list
	@sed -n 's/^\([a-z -]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

demo: $(INSTALLED) ## Run both stages on the bundled model and data, offline
	$(BIN)/python -m sparse_probing.commands.demo

test check: lint ## All that CI demands: format, lint, types, floors, docstrings, tests
	$(PYTEST)

test-fast: $(INSTALLED) ## The tests without those marked slow
	$(PYTEST) -m 'not slow'

lint: $(INSTALLED) ## Format, lint, types, import floors and docstrings, without the tests
	$(BIN)/ruff format --check --output-format concise .
	$(BIN)/ruff check --output-format concise .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo
	$(BIN)/numpydoc lint $$(find $(PACKAGES) $(SCRIPTS) -name '*.py')

format: $(INSTALLED) ## Format the code and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: $(INSTALLED) ## Make .venv and install the project into it

benchmarks: $(INSTALLED) ## Show how the benchmarks are run
	@echo "One at a time, on an idle machine:"
	@for file in benchmarks/[a-z]*.py; do echo "  $(BIN)/python -m benchmarks.$$(basename $$file .py)"; done

clean: ## Remove .venv, caches and builds (results stay)
	rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or later is needed, and '$(PYTHON)' is not: $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name one that is, for example: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { \
		echo "No virtual environment could be made. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
