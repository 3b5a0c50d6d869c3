# Two commands do everything: `make quickstart` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cksum constraints.txt pyproject.toml | cksum | cut -d' ' -f1)

.PHONY: quickstart test lint venv clean help bench-slicing bench-file-sizes

help:
	@echo "make quickstart   the whole job on embedded data: compress, export, bench, report, bundle"
	@echo "make test         lint, types, layers and the test suite"
	@echo "make lint         ruff and mypy only"
	@echo "make bench-slicing   time to slice a sub-network"
	@echo "make bench-file-sizes   what a .tflite holds beside its weights, fitted anew"

venv: $(STAMP)

# torch comes first and exactly pinned: any looser request would pull a CUDA build of several gigabytes.
$(STAMP): constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 was not found; install it (Debian: apt-get install python3.11-venv)"; exit 4; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is missing; install it (Debian: apt-get install python3-venv)"; exit 4; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0 -c constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@rm -f $(VENV)/.installed-*
	@touch $@

quickstart: venv
	$(BIN)/edgegan quickstart

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/typecheck.py

test: lint
	$(BIN)/python -m pytest

bench-slicing: venv
	$(BIN)/python benchmarks/slicing.py

bench-file-sizes: venv
	$(BIN)/python benchmarks/file_sizes.py

clean:
	rm -rf $(VENV) build dist runs *.egg-info
