PYTHON ?= $(or $(shell command -v python3.11),python3)
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: install test test-slurm lint browser demo clean

install: $(STAMP)

# The constraints choose torch's CPU build, so they belong to every installation made here.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -c constraints.txt -e '.[dev]'
	touch $@

# Threads that spin while they wait are many times slower where cores are shared.
test test-slurm: export OMP_WAIT_POLICY := PASSIVE
test test-slurm: export OMP_NUM_THREADS := 1
test: lint
	$(BIN)/pytest -q -n 2 --dist loadfile --ignore=tests/cluster
	$(MAKE) test-slurm

# A SLURM of two nodes on this machine: as root, with Debian's packages; elsewhere the reason is printed.
test-slurm: install
	$(BIN)/pytest -q tests/cluster

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# What tests/report/test_browser.py drives. Where there is none it is skipped, and says so.
browser:
	command -v chromium || { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium; } \
		|| echo "no Chromium: install it as root on Debian, or as your system does"

demo: install
	$(BIN)/prunelab experiment=demo

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache dist
