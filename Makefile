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
export CONFIG SOURCE STEP ARGS PYTHON WORKERS TORCH TORCH_INDEX KFP_HOST

# What is typed there is text. Make would expand `$(shell …)` in it, so each value is taken as it stands; recipes read
# it as "$$NAME" from the environment, where the shell does not look for commands in it either.
$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(eval override export $(name) := $$(value $(name)))))

# ARGS holds several words: they end at blanks, and quotes ('…' or "…") keep blanks within one. Nothing else in them
# means anything: no variables, no patterns of files, no commands. The words become "$$@".
WORDS = words=$$(xargs -r printf '%s\n' <<< "$$ARGS" 2>/dev/null && echo .) \
  || { echo "error: ARGS cannot be split into words; close every quote in it" >&2; exit 2; }; \
  set --; while IFS= read -r word; do set -- "$$@" "$$word"; done < <(printf '%s' "$${words%.}")

override VENV := .venv
override PY := $(VENV)/bin/python
override READY := $(VENV)/.ready
# A file of tests is one worker's, which then makes what its tests share once; the order is that of tests/conftest.py.
override SPREAD = --numprocesses "$$WORKERS" --dist loadfile --no-loadscope-reorder
override NUMERICAL := tests/nn tests/metrics tests/evaluation tests/report/test_golden.py tests/test_losses.py $(addprefix tests/training/test_,step.py distributed.py schedule.py)

.PHONY: help setup run test test-numerical test-fast test-containers step docker-step images compile submit runs check lint coverage golden bench store lock audit docs pictures servers

##@ Start here
run: $(READY)  ## run the whole pipeline        CONFIG=configs/….yaml SOURCE=my.csv ARGS="--set a.b=c"
	@$(WORDS); exec $(PY) -m pipelines run --config "$$CONFIG" --source "$$SOURCE" "$$@"

test: $(READY)  ## run the tests                 ARGS="-k windows" WORKERS=4
	@$(WORDS); exec $(PY) -m pytest $(SPREAD) "$$@"

setup: $(READY)  ## make the environment          TORCH_INDEX=<URL> TORCH=torch==<version>+<build>
	@$(if $(filter file,$(origin PYTHON)),,test "$$($(PY) -V)" = "$$("$$PYTHON" -V)" \
	  || { echo "error: $(VENV) has $$($(PY) -V); remove it first for another Python: rm -r $(VENV)" >&2; exit 2; })
	@echo "ready: make run goes through the whole pipeline, make alone lists every command"

##@ One step
step: $(READY)  ## run one step                  STEP=train ARGS="--dataset … --model …"
	@docker/steps | grep -qxF -- "$${STEP//_/-}" \
	  || { echo "error: $$STEP is not a step; choose one of $$(docker/steps | paste -sd ' ')" >&2; exit 2; }
	@$(WORDS); exec $(PY) -m "components.$${STEP//-/_}" "$$@"

docker-step:  ## the same step in its image    STEP=train ARGS="--dataset runs/… --model runs/…"
	@$(WORDS); exec docker/step "$$STEP" "$$@"

images:  ## build the image of each step   ENGINE=podman BASE_IMAGE=… CA=… (docker/build tells all)
	@docker/build

##@ On a cluster
compile: $(READY)  ## compile the pipeline to YAML  CONFIG=configs/….yaml ARGS="--output pipeline.yaml"
	@$(WORDS); exec $(PY) -m pipelines compile --config "$$CONFIG" "$$@"

submit: $(READY)  ## submit a run                  KFP_HOST=https://… SOURCE=s3://… ARGS="--registry …"
	@test -n "$$KFP_HOST" \
	  || { echo "error: which cluster? KFP_HOST=https://… is the URL of its Kubeflow Pipelines API" >&2; exit 2; }
	@$(WORDS); exec $(PY) -m pipelines submit --host "$$KFP_HOST" --config "$$CONFIG" --source "$$SOURCE" "$$@"

runs: $(READY)  ## list what runs left behind    ARGS="show NAME"
	@$(WORDS); [ $$# -gt 0 ] || set -- list; exec $(PY) -m pipelines runs "$$@"

store: $(READY)  ## start a local S3 server       (stops on Ctrl-C)
	@$(WORDS); exec $(PY) -m pipelines store "$$@"

##@ Develop
check: lint test  ## format, lint, types, import ladder, tests: what .ci/run runs

lint: $(READY)  ## check without the tests
	@echo "ruff format"; $(PY) -m ruff format --check .
	@echo "ruff check"; $(PY) -m ruff check .
	@echo "mypy"; $(PY) -m mypy
	@echo "lint-imports"; "$(VENV)/bin/lint-imports"

test-numerical: $(READY)  ## the numerical tests once more, with the sums of another processor
	@$(WORDS); export ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Nehalem OMP_NUM_THREADS=1; \
	  exec $(PY) -m pytest -m "not slow" $(SPREAD) $(NUMERICAL) "$$@"

test-fast: $(READY)  ## the tests without the slow ones
	@$(WORDS); exec $(PY) -m pytest -m "not slow and not e2e and not s3 and not browser" "$$@"

test-containers: $(READY)  ## build the step images and test them (needs docker or podman)
	@$(WORDS); exec $(PY) -m pytest -m containers tests/containers "$$@"

coverage: $(READY)  ## list the lines that no test runs  ARGS=tests/store
	@$(WORDS); $(PY) -m coverage run -m pytest $(SPREAD) "$$@"; status=$$?; \
	  $(PY) -m coverage combine --quiet; $(PY) -m coverage report --show-missing --skip-covered; exit $$status

golden: $(READY)  ## rewrite the golden files; the commit says why
	@$(WORDS); exec $(PY) -m pytest --golden -k golden "$$@"

docs: $(READY)  ## write the generated pages and the settings file anew
	@$(PY) -m docs.generate

pictures: $(READY)  ## take the pictures of the pages anew  ARGS="runs/<name>/report.html --site review"
	@$(WORDS); exec $(PY) -m docs.generate.pictures "$$@"

bench: $(READY)  ## measure all figures of docs/performance.md  ARGS="--part step"
	@$(WORDS); exec $(PY) -m benchmarks.performance "$$@"

servers: $(READY)  ## make the servers that tests ask, MLflow's and moto's, in .venv-servers (700 MB)
	@$(PY) -m requirements.servers

lock: $(READY)  ## resolve the ranges of pyproject.toml into requirements/*.lock
	@$(PY) requirements/lock.py

audit: $(READY)  ## check hashes, licenses and known vulnerabilities of what is locked  ARGS=--offline
	@$(WORDS); exec $(PY) requirements/audit.py "$$@"

help:
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo

# The environment is made anew only when the locks or the packaging changed; nothing is fetched otherwise.
$(READY): requirements/dev.lock requirements/installer.lock pyproject.toml
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; say which one: make PYTHON=python3.12 …" >&2; exit 2; }
	@$(PY) -m pip --version >/dev/null 2>&1 || { echo "making $(VENV)"; "$$PYTHON" -m venv --clear $(VENV); } \
	  || { rm -rf $(VENV); echo "this Python makes no environments; apt-get install python3-venv" >&2; exit 2; }
	@$(PY) requirements/install.py
	@touch $(READY)
