PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The hub of docker-compose.yml and of `make stack` is at 4388: the Collector has 4318.
RULES := --project collector/prometheus --directory collector/prometheus/rules --page http://localhost:4388

.DEFAULT_GOAL := help
.PHONY: help env demo stack load-test test test-all nightly check bench docs clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[grpc,sdk,prometheus]" --group test --group check --group bench
	@$(BIN)/python -m pip install --quiet --group test-source 2>$(VENV)/source.log || \
		echo "mysqlclient could not be built, so its tests are skipped: it needs cc, pkg-config and libmariadb-dev ($(VENV)/source.log)"
	@touch $@

env: $(VENV)/.ready ## make the environment in .venv

demo: env ## a shop under the agent, with traffic, and what was found
	$(BIN)/python -m examples.demo

stack: env ## Collector, Prometheus, Alertmanager, Jaeger, hub and shop as processes; Ctrl-C stops them
	$(BIN)/python -m tools.stack up

RATE ?= 100
DURATION ?= 30

load-test: env ## Kafka events at RATE a second for DURATION s, through a consumer under perfagent: pass or fail
	$(BIN)/python -m tools.stack.load_test --rate $(RATE) --duration $(DURATION)

# Files of tests side by side: each process of them has servers of its own.
SIDE_BY_SIDE := -n logical --maxprocesses 4 --dist loadfile

test: env ## the fast tests
	$(BIN)/python -m pytest -m "not slow" $(SIDE_BY_SIDE) $(TEST_OPTIONS)

test-all: env ## every test, the slow ones and those of real servers too
	$(BIN)/python -m pytest -m alone
	$(BIN)/python -m pytest -m "not alone and not nightly" $(SIDE_BY_SIDE)

nightly: env ## the matrices: suites of libraries, kinds of processes, neighbours, faults; writes docs/reference/matrices.md
	rm -rf build/nightly
	PERFAGENT_MATRIX_RESULTS=$(CURDIR)/build/nightly PERFAGENT_TESTS_FORBID_SKIP=1 $(BIN)/python -m pytest -m nightly -n 2 --dist loadfile --reruns 1 --rerun-show-tracebacks
	$(BIN)/python -m tools.matrices build/nightly

check: env ## lint, types, the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.reference --check
	$(BIN)/perfagent rules export $(RULES) --check
	$(BIN)/python -m tools.dashboards --check

docs: env ## make the pages that are made of tables, and the dashboards
	$(BIN)/python -m tools.reference
	$(BIN)/python -m tools.dashboards
	$(BIN)/perfagent config --output markdown > docs/reference/settings.md
	$(BIN)/perfagent rules export $(RULES)

bench: env ## bare, perfagent, opentelemetry-instrument and ddtrace side by side
	$(BIN)/python -m benchmarks

clean: ## take away what was made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache benchmarks/results
