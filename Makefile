# Which build of torch is installed is a matter of the package index that pip asks, not of the version: the Linux wheels
# of PyPI are built for CUDA, those of PyTorch's CPU index (version X.Y.Z+cpu) are far smaller. Both satisfy
# constraints.txt. For the CPU build, name that index when installing: PIP_EXTRA_INDEX_URL=URL make install. A "+cpu" version
# counts as newer than the same one without, so pip prefers it where both are offered. For another CUDA than the default,
# name the index of that CUDA in the same way.

PYTHON ?= $(or $(shell command -v python3.11),python3)
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: install test test-slurm test-families lint browser demo bench bench-gpu docs lock clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -c constraints.txt -e '.[dev]'
	touch $@

# Threads that spin while they wait are many times slower where cores are shared.
test test-slurm test-families: export OMP_WAIT_POLICY := PASSIVE
test test-slurm test-families: export OMP_NUM_THREADS := 1
test: lint browser
	$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations=25

# A SLURM of two nodes on this machine: as root, with Debian's packages; elsewhere the reason is printed. With what takes
# minutes, which `make test` leaves out: half an hour and more.
test-slurm: install
	$(BIN)/pytest -q tests/cluster -m 'acceptance or not acceptance' --durations=0

# Every small pipeline at every granularity, and plain diffusers in an environment of its own: half an hour.
test-families: install
	$(BIN)/pytest -q tests/surgery/test_every_family.py -m acceptance --durations=5

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# What tests/report/test_browser.py drives. Where there is none it is skipped, and says so.
browser:
	command -v chromium || { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium; } \
		|| echo "no Chromium: install it as root on Debian, or as your system does"

# Beside what a user would write instead, in one table in the end; on two quiet cores some fifteen minutes.
bench: export OMP_WAIT_POLICY := PASSIVE
bench: export OMP_NUM_THREADS := 1
bench: install
	$(BIN)/python benchmarks/goals.py

# Where there is no GPU, every row says so.
bench-gpu: install
	$(BIN)/python benchmarks/gpu.py

demo: install
	$(BIN)/prunelab experiment=demo

docs: install
	$(BIN)/pip install -q -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict

# What is installed becomes what every installation gets. The build of torch (+cpu) is left to the index.
lock: install
	$(BIN)/pip freeze --exclude-editable | sed 's/+.*//' > constraints.txt

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache dist site
