# A newcomer's three commands: make show, make demo, make test. They need Python 3.11 or newer and
# nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: show demo test lint types check docs clean

show: $(VENV)/.package
	$(BIN)/python -m fpainter.viewer open=true

demo: $(VENV)/.package
	$(BIN)/python -m fpainter.train experiment=demo

# Types are checked by one process; the tests need not wait for it.
test: lint
	@$(MAKE) --no-print-directory -j2 types check

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests examples
	$(BIN)/ruff format --check src tests examples

types: $(VENV)/.dev
	$(BIN)/mypy

# One thread for each of the processes that run side by side; more would wait for each other.
check: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal

# The theme's makers announce a successor at every build; it does not run hooks.
docs: $(VENV)/.dev
	$(BIN)/python docs/make_configuration.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo open site/index.html

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("fpainter needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# Python compiles what is imported; pip would compile everything first, for two thirds as long as it
# installs.
INSTALL := $(BIN)/python -m pip install -q --no-compile

$(VENV)/.package: pyproject.toml | $(BIN)/python
	$(INSTALL) -e .
	touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(INSTALL) -e '.[dev]'
	touch $@ $(VENV)/.package

clean:
	rm -rf $(VENV) logs outputs site .mypy_cache .pytest_cache .ruff_cache
