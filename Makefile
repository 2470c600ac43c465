# tfbisect: `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced

.PHONY: help setup demo test truth causes newest cluster engine hostile faults soak lint format bench screenshots serve sbom audit clean additions
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make the virtual environment from requirements.lock
$(STAMP): requirements.lock pyproject.toml
	@echo "setup: a virtual environment in $(VENV), packages and hashes from requirements.lock"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tfbisect needs Python 3.11 or newer, and %s is %s; name another with: make PYTHON=python3.12" % (sys.executable, sys.version.split()[0]))'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@awk '/^[^ #]/{uv = /^uv==/} uv' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --require-hashes -r $(VENV)/uv.lock
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --python $(BIN)/python --editable .
	@touch $@

demo: setup ## bisect the tutorial script of the dropout bug over TensorFlow 1.9 to 1.14
	@echo "demo: tfbisect run examples/dropout_tutorial.py --releases 1.9..1.14"
	@$(BIN)/tfbisect run examples/dropout_tutorial.py --releases 1.9..1.14

serve: setup ## the web service on 127.0.0.1:8000
	@echo "serve: tfbisect serve, on http://127.0.0.1:8000"
	@$(BIN)/tfbisect serve

bench: setup ## the benchmarks, side by side with their baselines
	@echo "bench: writes benchmarks/results/*.json and benchmarks/RESULTS.md; FULL=1 takes more rounds and releases"
	@$(BIN)/python -m benchmarks

screenshots: setup ## pictures of every page into docs/screenshots, and the API reference
	@echo "screenshots: every page at desktop and phone width by Chromium; docs/api.md from the OpenAPI description"
	@$(BIN)/python -m tests.web.screenshots docs/screenshots
	@$(BIN)/python -m service.web.api.reference > docs/api.md

lint: setup ## ruff (check and format) and mypy strict
	@echo "lint: ruff check, ruff format --check, mypy --strict"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

test: setup ## every test, real containers included where an engine answers
	@echo "test: pytest in two processes, with real containers, PostgreSQL and Chromium where they are"
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadscope --durations 40 --durations-min 5

truth: setup ## ask the probe behaviour about behaviours that really changed, in every TensorFlow image that is here
	@echo "truth: tests/behaviour/truth.toml against the releases whose images are here; prints a table"
	@$(BIN)/python -m tests.behaviour.truth

causes: setup ## what known changes come from, in real releases: environments (some thirty small images), definitions, errors
	@echo "causes: tests/main_job/test_causes.py with FULL=1, then tests/causes/truth.toml and errors.toml; prints tables"
	@FULL=1 $(BIN)/python -m pytest tests/main_job/test_causes.py
	@$(BIN)/python -m tests.causes
	@$(BIN)/python -m tests.causes.errors

additions: setup ## run scripts that need pandas, scikit-learn, LightGBM, OpenCV, … in real releases
	@echo "additions: tests/behaviour/additions.toml in containers; prints a table; missing images are built"
	@$(BIN)/python -m tests.behaviour.additions

newest: setup ## what depends on the Python that runs the service, on the newest one of this machine
	@newest="$$($(BIN)/python -c 'from service.catalog.interpreters import find_interpreter, installed_interpreters as here; print(find_interpreter(here()[-1]) or "")')"; \
	echo "newest: $${newest:-no other Python is here}: threads, catalog, coordination, events"; \
	$(MAKE) --no-print-directory VENV=.venv-newest PYTHON="$$newest" setup && \
	.venv-newest/bin/python -m pytest --numprocesses 2 --dist loadscope tests/test_house.py tests/test_threads.py tests/coordination tests/catalog/test_releases.py tests/storage/test_bisections.py tests/web/test_events.py -m "not postgres and not index and not containers and not local"

cluster: setup ## a real scheduler and real workers: killed, without room, with certificates
	@echo "cluster: tests/execution/test_cluster.py and test_executors.py with FULL=1"
	@FULL=1 $(BIN)/python -m pytest tests/execution/test_cluster.py tests/execution/test_executors.py

engine: setup ## images and runs on another engine: TFBISECT_TEST_ENGINE=unix:///run/podman.sock make engine
	@test -n "$(TFBISECT_TEST_ENGINE)" || { echo "engine: set TFBISECT_TEST_ENGINE to the address of an engine"; exit 2; }
	@echo "engine: images and runs on $(TFBISECT_TEST_ENGINE)"
	@DOCKER_HOST="$(TFBISECT_TEST_ENGINE)" $(BIN)/python -m pytest tests/images/test_laying.py tests/execution/test_docker_runner.py

# Both TensorFlow releases take an image and a folder of their own: minutes where they are not there yet.
HOSTILE_RELEASES = $(if $(filter 1,$(FULL)),1.12.0 2.10.0)
hostile: setup ## every attack in both runners, as a table; with FULL=1 in TensorFlow 1.12.0 and 2.10.0 too
	@echo "hostile: every file of tests/execution/hostile/ run for real; the table goes to docs/hostile.md"
	@FULL=1 TFBISECT_HOSTILE_RELEASES="$(HOSTILE_RELEASES)" TFBISECT_HOSTILE_TABLE=docs/hostile.md \
		$(BIN)/python -m pytest --tb=line tests/execution/test_attacks.py; status=$$?; cat docs/hostile.md; exit $$status

faults: setup ## break the service in every way, for real, and print what came of it (half an hour)
	@echo "faults: python -m tests.faults; writes benchmarks/results/faults.md and .json"
	@$(BIN)/python -m tests.faults

soak: setup ## twenty clients for TFBISECT_SOAK_SECONDS (600 by default), memory and file handles watched
	@echo "soak: python -m tests.soak; writes benchmarks/results/soak.md and .json"
	@$(BIN)/python -m tests.soak

sbom: setup ## the software bill of materials of requirements.lock, CycloneDX JSON, into sbom.cdx.json
	@echo "sbom: sbom.cdx.json from requirements.lock"
	@$(BIN)/python .ci/sbom.py requirements.lock sbom.cdx.json

audit: setup ## known vulnerabilities of requirements.lock; says so where no database can be asked (OSV_URL names one)
	@echo "audit: pip-audit over requirements.lock"
	@$(BIN)/python .ci/audit.py requirements.lock

clean: ## remove what the targets made in the checkout
	@echo "clean: virtual environments, caches and build folders of this checkout; never your data directory"
	@rm -rf $(VENV) .venv-newest .mypy_cache .ruff_cache .hypothesis .pytest_cache build dist *.egg-info sbom.cdx.json
