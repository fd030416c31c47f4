# make demo   the main job on real MRI slices, without a window     make run   napari on the project of the demo
# make test   every check                                           make help  the rest
# Users of pip need none of this: pip install "napari-segsize[all]"

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

VENV      := .venv
BIN       := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO      := demo
# The first python3 that is new enough; `make PYTHON=/path/to/python` overrides it.
PYTHON    ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
               "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
# A virtual screen, so that tests open no window on the developer's desktop. Qt's own `offscreen` cannot draw layers.
SCREEN     = $(if $(shell command -v xvfb-run),xvfb-run -a -s "-screen 0 1600x1200x24",)

.PHONY: help venv system demo run test lint types imports unit demo-short manifest dist bench format clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found. Install it, or say make PYTHON=/path/to/python."; exit 1; }
	@scripts/system-packages.sh python "$(PYTHON)"
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all,dev]"
	@touch $@

venv: $(INSTALLED) ## create .venv and install what constraints.txt pins

system: ## libraries for Qt and a virtual screen (installs only as root, else says what is missing)
	@scripts/system-packages.sh screen

demo: $(INSTALLED) ## pre-train, fine-tune from sizes, evaluate; writes the table and a report to demo/
	$(BIN)/segsize demo $(DEMO)

run: $(INSTALLED) system ## napari on the project of the demo; without a display: a screenshot in demo/
	@test -e $(DEMO)/project/project.segsize || $(BIN)/segsize demo --short $(DEMO)
	@if [ -n "$${DISPLAY:-}$${WAYLAND_DISPLAY:-}" ] || [ "$$(uname)" != Linux ]; then \
	  $(BIN)/python -m napari_segsize.widgets $(DEMO)/project; \
	else \
	  $(SCREEN) $(BIN)/python -m napari_segsize.widgets $(DEMO)/project --screenshot $(DEMO)/napari.png; \
	  echo "There is no display; this is what napari shows: $(DEMO)/napari.png"; \
	fi

test: lint types imports unit demo-short manifest dist ## every check
	@echo "All checks passed."

lint: $(INSTALLED) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED) ## mypy --strict on the package
	$(BIN)/mypy

imports: $(INSTALLED) ## who may import whom (docs/architecture.md)
	$(BIN)/lint-imports

unit: $(INSTALLED) system ## pytest with coverage, under a virtual screen
	$(SCREEN) $(BIN)/python -m pytest --cov --cov-report=term $(PYTEST)

demo-short: $(INSTALLED) ## the demo in a minute: that it runs, not what it learns
	rm -rf build/demo-short
	$(BIN)/segsize demo --short build/demo-short

manifest: $(INSTALLED) ## npe2 validate, with every python_name imported
	$(SCREEN) $(BIN)/npe2 validate --imports napari-segsize

dist: $(INSTALLED) ## wheel and sdist, and the wheel in a clean environment
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	scripts/check-wheel.sh $(BIN)/python dist/*.whl

bench: $(INSTALLED) ## the figures of docs/benchmarks.md (hours): make bench DATA=folder
	$(BIN)/python -m benchmarks $(DATA)

format: $(INSTALLED) ## ruff: mend what it can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean: ## remove all that make made
	rm -rf $(VENV) $(DEMO) $(DEMO)-* build dist .coverage .coverage.* htmlcov .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
