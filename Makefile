# Two commands from a fresh clone: `make demo` and `make test`. They need make and Python 3.11 to 3.14, nothing else.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
unexport PYTHONHOME PYTHONPATH

PY := .venv/bin/python
# The stamp carries a checksum of the path, so that a checkout that was moved is installed again.
READY := .venv/.ready-$(shell pwd -P | cksum | cut -d ' ' -f 1)

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile | expand -t 20

demo: $(READY) ## everything on one machine: no key, no network
	@.venv/bin/guard demo $(ARGS)

test: $(READY) ## the tests, without the slow ones
	@$(PY) -m pytest -n auto -m 'not slow' $(ARGS)

test-all: $(READY) ## the tests, slow ones included
	@$(PY) -m pytest -n auto --ignore tests/compat $(ARGS)
# The matrix starts every server once; with xdist each worker would.
	@$(PY) -m pytest tests/compat $(ARGS)

lint: $(READY) ## style and formatting
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

format: $(READY) ## mend what lint can mend
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

types: $(READY) ## mypy, strict
	@$(PY) -m mypy

# Without its cache, which does not notice that a module that was named before has come into being since.
imports: $(READY) ## the import contracts
	@$(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()' --no-cache

check: lint types imports test-all ## all of the above

docs: $(READY) ## refresh the tables of docs/configuration.md and docs/errors.md
	@$(PY) -m tests.house.pages
	@$(PY) -m tests.house.config_schema
	@.venv/bin/guard schema --record -o docs

wheel: $(READY) ## dist/*.whl and the source distribution
	@$(PY) -m build --no-isolation

lock: $(READY) ## requirements/lock.txt from pyproject.toml (UPGRADE=1: newest versions)
	@sh requirements/lock.sh $(if $(UPGRADE),--upgrade)

federated: $(READY) ## .venv-federated, for python -m benchmarks.federation --gateways 10
	@sh requirements/federated.sh

lock-federated: $(READY) ## requirements/federated.txt (UPGRADE=1: newest versions)
	@sh requirements/federated-lock.sh $(if $(UPGRADE),--upgrade)

clean: ## remove what was built, keep .venv
	@rm -rf build dist demo-log .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage
	@find . -name '.venv*' -prune -o -name .git -prune -o -type d -name __pycache__ -exec rm -rf {} +

distclean: clean ## remove .venv too
	@rm -rf .venv .venv-federated .ci/bin

# A virtual environment whose Python has gone is made again, whatever its stamp says.
$(READY): requirements/lock.txt pyproject.toml $(if $(wildcard $(PY)),,gone)
	@sh requirements/setup.sh $@

# For scripts that need the environment and nothing more.
.venv: $(READY)

.PHONY: help demo test test-all lint format types imports check docs wheel lock federated lock-federated clean distclean gone .venv
gone:
