# Everything here works from a fresh clone with Python 3.11 or newer: the environment is made on first use.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
BIN := .venv/bin
# Test processes share the cores: each computes with one thread, and a file's tests stay in one process. They share
# bytecode, too: without it, as many containers have it, each of them and of the programs they start compiles everything.
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile
STAMP := .venv/.stamp

.DEFAULT_GOAL := help
.PHONY: help demo model model-programs test test-slow lint docs environment

help:  ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

environment: $(STAMP)  ## .venv with the package and all that the targets below need

demo: $(STAMP)  ## the four tasks on the bundled pictures; scene JSON and one sheet in out/demo; a mesh to tokens and back
	$(BIN)/kyvo demo --out out/demo

model: $(STAMP)  ## the bundled model from nothing, in runs/mini; half an hour with -j3 and DEVICE=cuda; continues where it was stopped
	$(MAKE) --file configs/mini.mk model

model-programs: $(STAMP)  ## the bundled model trained on, with programs, cameras and turns; continues where it was stopped
	$(MAKE) --file configs/mini_programs.mk model-programs

test: $(STAMP)  ## the default tests: offline, on the CPU
	$(PYTEST) --durations 15

test-slow: $(STAMP)  ## heavier tests; properties with more examples; taming-transformers and the real Llama tokenizer where installed
	$(PYTEST) --durations 15 -m "(slow or taming or llama or hypothesis) and not gpu" --hypothesis-profile thorough

docs: $(STAMP)  ## the site of docs/, in out/site; strict, offline
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir out/site

lint: $(STAMP)  ## ruff and pyright
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

# The stamp is written last, so an interrupted install is taken up again by the next call.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Kyvo needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo not there)." \
	  "Install python3.11, or say where it is: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install -y python3-venv" >&2; exit 2; }
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[dev,docs]'
	@touch $@
