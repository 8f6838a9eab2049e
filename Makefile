# Needs make, Python 3.11 or newer and a package index. Everything runs in .venv, which is made on demand.

PYTHON ?= python3
BENCH_ARGS ?=
QUALITY_ARGS ?=
PYTEST_ARGS ?= -n 2 --dist worksteal
SERVE_ARGS ?= --demo --database-url sqlite:///build/capacity-optimizer.db

BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not found; name an interpreter: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1); name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Installing the tested versions into .venv (once, a minute or two)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

.PHONY: demo
demo: $(INSTALLED)  ## Plan a real charging day, and play it against a server
	@$(BIN)/python -m benchmarks.demo
	@$(BIN)/python -m benchmarks.demo_online

.PHONY: serve
serve: $(INSTALLED)  ## Start the server and leave it running (SERVE_ARGS="--port 9000" to choose)
	@mkdir -p build
	@$(BIN)/oscp-serve $(SERVE_ARGS)

.PHONY: test
test: $(INSTALLED)  ## Run the tests (PYTEST_ARGS="-n 0 -k name" to choose)
	@echo "Running the tests"
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: check
check: $(INSTALLED)  ## Check format, lint, types and import rules
	@echo "Checking the format"
	@$(BIN)/ruff format --check
	@echo "Linting"
	@$(BIN)/ruff check
	@echo "Checking the types"
	@$(BIN)/mypy
	@echo "Checking the import rules"
	@$(BIN)/lint-imports --no-logo

.PHONY: reference
reference: $(INSTALLED)  ## Rerun the reference optima and print the table
	@$(BIN)/python -m benchmarks.reference

.PHONY: lines
lines: $(INSTALLED)  ## Measure linear forms of line currents against the exact cone
	@$(BIN)/python -m benchmarks.lines

.PHONY: bench
bench: $(INSTALLED)  ## Measure times against the floor
	@$(BIN)/python -m benchmarks.run

.PHONY: bench-full
bench-full: $(INSTALLED)  ## Measure growth, memory, start-up, solvers and peers, which it installs under build/ (an hour)
	@$(BIN)/python -m benchmarks.full $(BENCH_ARGS)

.PHONY: bench-check
bench-check: $(INSTALLED)  ## Fail where a plan became slower than the committed baseline
	@$(BIN)/python -m benchmarks.check

.PHONY: bench-again
bench-again: $(INSTALLED)  ## Measure plans from what the last plan of the site left (four minutes)
	@$(BIN)/python -m benchmarks.again

.PHONY: bench-batch
bench-batch: $(INSTALLED)  ## Measure batches: workers, cluster, memory (half an hour)
	@$(BIN)/python -m benchmarks.batch

.PHONY: quality
quality: $(INSTALLED)  ## Set policies side by side on real days over the capacity (QUALITY_ARGS="--full" for all)
	@$(BIN)/python -m benchmarks.quality $(QUALITY_ARGS)

.PHONY: load
load: $(INSTALLED)  ## Measure the server under load, on both databases
	@$(BIN)/python -m benchmarks.load

.PHONY: crash
crash: $(INSTALLED)  ## Kill the server under load, again and again, and count what is lost (an hour)
	@$(BIN)/python -m benchmarks.crash

.PHONY: clean
clean:  ## Remove .venv, caches and what was built
	@echo "Removing .venv, caches and what was built"
	@rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
