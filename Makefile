# Everything from a fresh clone: `make demo`, `make test`. Needs Python >= 3.11; all packages go into .venv.
#
# On Linux the plain torch wheel brings gigabytes of CUDA. For a small CPU one:
#   make test PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu

VENV ?= .venv
OUT ?= out/demo
BENCHMARKS := benchmarks/inference.py benchmarks/training.py benchmarks/translate.py benchmarks/scene.py
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# The first interpreter that really starts (a pyenv shim may not), is new enough and can make environments.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.DEFAULT_GOAL := help
.PHONY: help demo test lint pytest format bench clean

help:
	@echo "make demo    a street map of the sample image, and a page to compare the two, in $(OUT)"
	@echo "make test    lint, then all tests"
	@echo "make lint    ruff and mypy"
	@echo "make format  let ruff rewrite what it can"
	@echo "make bench   the benchmarks (long; leave the machine alone meanwhile)"
	@echo "make clean   remove .venv, caches and $(OUT)"

demo: $(VENV)/core.stamp
	$(BIN)/sat2map demo $(OUT) --overwrite

test: lint pytest

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# After lint in a parallel make too: a wrong name should fail in seconds, not after the tests.
pytest: $(VENV)/dev.stamp | lint
	$(BIN)/python -m pytest -q

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/dev.stamp
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) $(OUT) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo "sat2map needs Python 3.11 or newer with venv (Debian: apt install python3-venv)."; \
		echo "If it has another name: make PYTHON=/path/to/python3.x"; exit 2; }
	$(PYTHON) -m venv $(VENV)

# A stamp says for which pyproject.toml and constraints.txt the environment was filled.
$(VENV)/core.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing sat2map and what it needs to translate into $(VENV) ..."
	@$(PIP) -c constraints.txt -e .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing sat2map with everything for training and tests into $(VENV) ..."
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/core.stamp
