# Plumbline. `make help` lists what there is.
.DEFAULT_GOAL := help
.PHONY: help setup run test check bench

BIN := .venv/bin

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## Bring a fresh clone to the point where everything runs (the others call it).
	@scripts/setup.sh

run: setup  ## Run Plumbline on this machine: prints the address; Ctrl-C stops it. Options: ARGS="--port 8000".
	@$(BIN)/plumbline up $(ARGS)

test: setup  ## Run every test. Options: ARGS="tests/backend -k labels".
	@scripts/test.sh $(ARGS)

check: setup  ## Lint, formatting, types and who may import whom.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup  ## Measure, and write benchmarks/results.md.
	@$(BIN)/python -m benchmarks.run $(ARGS)
