# `make demo` and `make test` do all set-up themselves.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo test check docs clean

demo: .venv/demo.installed
	$(BIN)/python examples/demo.py --output demo

test: .venv/dev.installed
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 -m "not slow and not fuzz" --durations=20

check: .venv/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/pyright --project tests/pyrightconfig.json
	$(BIN)/lint-imports

docs: .venv/dev.installed
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build

clean:
	rm -rf .venv demo docs/_build

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo.installed: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) ".[all]"
	touch $@

.venv/dev.installed: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) ".[dev]"
	touch $@
