# make quickstart   create the environment, then train, evaluate and draw a small model on synthetic data
# make test         create the environment, then run the whole test suite
# make env          create the environment only
# make lint         run the checks of CI and pre-commit
# make mutants      check the tests: each of a list of small changes must make a fast test fail
# make env-classic, make test-classic   the same with numpy 1.26 and the real xtcocotools
#
# PYTHON   interpreter that creates the environment
# VENV     folder of the environment
# INSTALL  options of yolox-pose install (--cpu, --cuda)
# ARGS     arguments of pytest, quickstart or mutants
# JOBS     test processes: one per core by default, 8 at most, because one can take 4 GB; 0 runs the tests in this process
#
# Nothing is installed twice, and no compiler is needed.

PYTHON ?= python3
VENV ?= .venv
VENV_CLASSIC ?= .venv-classic
INSTALL ?=
ARGS ?=
JOBS ?= auto

BIN := $(VENV)/bin
STACK := $(VENV)/.stack
DEV := $(VENV)/.dev
OLD := error: yolox_pose needs Python 3.10 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: quickstart test env lint mutants env-classic test-classic

quickstart: $(STACK)
	$(BIN)/python tools/quickstart.py $(ARGS)

test: $(DEV)
	$(BIN)/python -m pytest --numprocesses=$(JOBS) --maxprocesses=8 --dist=worksteal $(ARGS)

env: $(STACK)
	@echo "The environment is in $(VENV); its console script is $(BIN)/yolox-pose."

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy

mutants: $(DEV)
	$(BIN)/python -m tests.mutants $(ARGS)

env-classic:
	$(MAKE) env VENV=$(VENV_CLASSIC) INSTALL="$(INSTALL) --classic"

test-classic:
	$(MAKE) test VENV=$(VENV_CLASSIC) INSTALL="$(INSTALL) --classic"

$(STACK): setup.py requirements/modern.txt requirements/classic.txt requirements/no-deps.txt
	@$(PYTHON) -c 'import sys; sys.exit("$(OLD)" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m yolox_pose.cli.main install $(INSTALL)
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(DEV): $(STACK) requirements/dev.txt
	$(BIN)/python -c 'import numpy; print(f"numpy=={numpy.__version__}")' > $(VENV)/.numpy  # the tools keep this numpy
	$(PIP) install --only-binary=:all: --requirement requirements/dev.txt --constraint $(VENV)/.numpy
	touch $@
