# Every target makes its own .venv on first use: a fresh clone needs Python 3.10 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

TORCH ?= 2.13.0
TESTS ?= tests

.PHONY: help install quickstart encoder test test-slow test-lowest check docs dist bench

help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

install: $(VENV)/.installed ## the package and its tools in .venv

quickstart: install ## the three phases on a small made world, offline
	$(BIN)/hf-stilts quickstart

encoder: install ## a real multilingual encoder, multilingual-e5-small, in encoder/; slow tests and benchmarks use it
	$(BIN)/python tools/encoder.py encoder/multilingual-e5-small

test: install    ## the tests, under 8 minutes on 2 cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: install ## the tests that take minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m slow

test-lowest:     ## the tests with the lowest versions that pyproject.toml declares, in .venv-lowest (TORCH=... replaces its own)
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) .ci/lowest.py torch==$(TORCH) > .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet --constraint .venv-lowest/lowest.txt --editable '.[dev]'
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -n 2 --dist worksteal -m "not slow" $(TESTS)

check: install   ## style, types, contracts, doctests, generated tables
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/typos
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports
	$(BIN)/python -m pytest --doctest-modules --quiet hf_stilts metrics dataset_scripts
	$(BIN)/python -m hf_stilts.readme --check README.md dataset_scripts/README.md docs/*/*.md

docs: install    ## the documentation as a site in site/, without warnings
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m typer hf_stilts.cli utils docs --name hf-stilts --title Commands --output docs/reference/commands.md
	$(BIN)/python -m mkdocs build

dist: install    ## wheel and source distribution in dist/
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build --outdir dist .

bench: install   ## benchmarks against peers; ratios printed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done
