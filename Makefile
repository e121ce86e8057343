# Celestial Enhanced PGAT: every command a user types. `make` alone prints this list.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# What may be changed on the command line, e.g. make run SOURCE=my.csv
CONFIG ?= configs/quickstart.yaml
SOURCE ?= sample://nasdaq
STEP ?= train
ARGS ?=
PYTHON ?= python3
WORKERS ?= 2
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
KFP_HOST ?=

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
STEPS := prepare-data train evaluate diagnose report

.PHONY: help setup run test test-fast test-containers step docker-step images compile submit runs check lint golden bench store lock

##@ Start here
run: $(READY)  ## run the whole pipeline        CONFIG=configs/….yaml SOURCE=my.csv ARGS="--set a.b=c"
	@$(PY) -m pipelines run --config "$(CONFIG)" --source "$(SOURCE)" $(ARGS)

test: $(READY)  ## run the tests                 ARGS="-k windows" WORKERS=4
	@$(PY) -m pytest --numprocesses "$(WORKERS)" $(ARGS)

setup: $(READY)  ## make the environment          TORCH_INDEX=<URL> TORCH=torch==<version>+<build>

##@ One step
step: $(READY)  ## run one step                  STEP=train ARGS="--dataset … --model …"
	@test -f "components/$(subst -,_,$(STEP))/__main__.py" \
	  || { echo "error: $(STEP) is no step; choose one of $(STEPS)" >&2; exit 2; }
	@$(PY) -m components.$(subst -,_,$(STEP)) $(ARGS)

docker-step:  ## the same step in its image    STEP=train ARGS="--dataset runs/… --model runs/…"
	@docker/step "$(STEP)" $(ARGS)

images:  ## build the image of each step   ENGINE=podman BASE_IMAGE=… CA=… (docker/build tells all)
	@docker/build

##@ On a cluster
compile: $(READY)  ## compile the pipeline to YAML  CONFIG=configs/….yaml ARGS="--output pipeline.yaml"
	@$(PY) -m pipelines compile --config "$(CONFIG)" $(ARGS)

submit: $(READY)  ## submit a run                  KFP_HOST=https://… SOURCE=s3://… ARGS="--registry …"
	@test -n "$(KFP_HOST)" \
	  || { echo "error: which cluster? KFP_HOST=https://… is the URL of its Kubeflow Pipelines API" >&2; exit 2; }
	@$(PY) -m pipelines submit --host "$(KFP_HOST)" --config "$(CONFIG)" --source "$(SOURCE)" $(ARGS)

runs: $(READY)  ## list what runs left behind    ARGS="show NAME"
	@$(PY) -m pipelines runs $(if $(ARGS),$(ARGS),list)

store: $(READY)  ## start a local S3 server       (stops on Ctrl-C)
	@$(PY) -m pipelines store $(ARGS)

##@ Develop
check: lint test  ## format, lint, types, import ladder, tests: what .ci/run runs

lint: $(READY)  ## check without the tests
	@echo "ruff format"; $(PY) -m ruff format --check .
	@echo "ruff check"; $(PY) -m ruff check .
	@echo "mypy"; $(PY) -m mypy
	@echo "lint-imports"; "$(VENV)/bin/lint-imports"

test-fast: $(READY)  ## the tests without the slow ones
	@$(PY) -m pytest -m "not slow and not e2e and not s3 and not browser" $(ARGS)

test-containers: $(READY)  ## build the step images and test them (needs docker or podman)
	@$(PY) -m pytest -m containers tests/containers $(ARGS)

golden: $(READY)  ## rewrite the golden files; the commit says why
	@$(PY) -m pytest --golden -k golden $(ARGS)

bench: $(READY)  ## measure; one JSON line a case
	@for bench in benchmarks/*.py; do $(PY) "$$bench" $(ARGS); done

lock: $(READY)  ## resolve the ranges of pyproject.toml into requirements/*.lock
	@$(PY) requirements/lock.py

help:
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo

# The environment is made anew only when the lock or the packaging changed; nothing is fetched otherwise.
# pip reads TORCH_INDEX for torch alone: everything else comes hash-checked from the lock.
$(READY): requirements/dev.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; say which one: make PYTHON=python3.12 …" >&2; exit 2; }
	@test -x $(PY) || { echo "making $(VENV)"; "$(PYTHON)" -m venv $(VENV); } \
	  || { rm -rf $(VENV); echo "this Python makes no environments; apt-get install python3-venv" >&2; exit 2; }
	@echo "installing $(TORCH)"
	@$(PY) -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") "$(TORCH)"
	@echo "installing requirements/dev.lock"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)
