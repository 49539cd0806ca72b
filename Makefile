# Every target works from a fresh clone, in a path with spaces, and through `make -C`.
# All paths are relative: make changes into this folder first.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup browser run test check faults drift bench fmt schema equivalents published

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.ok
PIP := $(PY) -m pip install --disable-pip-version-check --quiet -c constraints.txt
PYTHONS := python3.11 python3.12 python3.13 python3.10 python3
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable
PORT ?= bert
PUBLISHED := published_lens published_old

# A virtual environment can't be moved or copied: the stamp holds the folder it was made for.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
$(shell rm -f $(STAMP))
endif

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 13

setup: $(STAMP) ## make .venv with the pinned versions; does nothing when it is up to date

# The stamp comes last and goes first, so an interrupted install starts from an empty .venv.
# torch comes first and by itself: the wheel pip prefers here (CPU where there is one) is then
# what everything else is installed beside.
$(STAMP): pyproject.toml constraints.txt
	@fresh=yes; if [ -e $(STAMP) ] && $(PY) -c 'import pip' 2>/dev/null; then fresh=no; fi
	rm -f $(STAMP)
	if [ $$fresh = yes ]; then
	  python=
	  for name in $(if $(PYTHON),"$(PYTHON)",$(PYTHONS)); do
	    if "$$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' \
	        2>/dev/null; then python=$$name; break; fi
	  done
	  if [ -z "$$python" ]; then
	    echo 'make setup: found no Python >= 3.10 with venv and ensurepip among: $(or $(PYTHON),$(PYTHONS))' >&2
	    echo '  what to do: install one (Debian: apt install python3-venv), or make setup PYTHON=/path/to/python' >&2
	    exit 2
	  fi
	  echo "making $(VENV) with $$("$$python" --version); this takes a few minutes, once"
	  "$$python" -m venv --clear $(VENV)
	fi
	$(PIP) "$$(sed -n 's/^\(torch==[^ ;]*\).*/\1/p' constraints.txt)"
	$(PIP) hatchling
	$(PIP) --no-build-isolation -e '.[torch,paddle,dev]'
	printf '%s\n' "$$PWD" > $(STAMP)

# make turns every failure into its own exit code 2; `.venv/bin/portalign run` keeps the run's:
# 0 aligned, 1 diverged, 2 could not decide.
run: setup ## all five steps on PORT (default bert)
	@$(PY) -m portalign run --port "$(PORT)" $(ARGS)

# A file's tests share their captures, so a file stays in one process.
test: setup browser ## every test, files side by side
	@$(PY) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

# Some tests open reports in a headless browser: CHROMIUM, or whichever of these is found.
browser: ## see that there is a Chromium for the tests; installs one with apt where that is possible
	@found() { for name in $(if $(CHROMIUM),"$(CHROMIUM)",$(BROWSERS)); do command -v "$$name" && return; done; false; }
	if found > /dev/null; then exit 0; fi
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
	  echo 'installing chromium with apt, once'
	  apt-get update -qq
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium > /dev/null
	fi
	if ! found > /dev/null; then
	  echo 'make browser: found no browser among: $(or $(CHROMIUM),$(BROWSERS))' >&2
	  echo '  what to do: install Chromium (Debian: apt install chromium), or make test CHROMIUM=/path/to/it' >&2
	  exit 2
	fi

check: setup ## format, lint, types, layering, and the tests that need no framework
	@$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(PY) -m pytest --framework-free -q $(ARGS)

faults: setup ## plant bugs and expect every one to be found
	@$(PY) scripts/faults.py $(ARGS)

drift: setup ## train resnet ten iterations, right and with a wrong eps; about 5 minutes
	@$(PY) scripts/drift.py $(ARGS)

bench: setup ## time, memory and disk of the steps against the bare models
	@for script in scripts/bench_*.py; do $(PY) "$$script"; done

fmt: setup ## format the code and apply safe lint fixes
	@$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

schema: setup ## write docs/port.schema.json from the model of the port file
	@$(PY) -m portalign.config > docs/port.schema.json.new
	mv docs/port.schema.json.new docs/port.schema.json

equivalents: setup ## measure every row of the table of equivalents, write docs/equivalents.md
	@$(PY) scripts/equivalents.py

# Both environments take what they don't bring from .venv: torch is installed once.
published: setup ## retell the published porting stories with their answers; about 20 minutes
	@for extra in $(PUBLISHED); do
	  if [ "$$(cat $(VENV)/$$extra/.ok 2>/dev/null)" != "$$PWD $$(cksum < scripts/$$extra.txt)" ]; then
	    $(PY) -m venv --clear $(VENV)/$$extra
	    $(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	      > "$$($(VENV)/$$extra/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
	    $(VENV)/$$extra/bin/python -m pip install --disable-pip-version-check --quiet \
	      -r scripts/$$extra.txt
	    echo "$$PWD $$(cksum < scripts/$$extra.txt)" > $(VENV)/$$extra/.ok
	  fi
	done
	$(PY) scripts/published.py --lens "$$PWD/$(VENV)/published_lens/bin/python" \
	  --old "$$PWD/$(VENV)/published_old/bin/python" $(ARGS)
