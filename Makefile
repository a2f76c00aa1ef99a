# What a contributor does, by one word each. `make demo` and `make test` need nothing but Python 3.11 or later.

VENV  := .venv
PEERS := .venv-peers
PY    := $(VENV)/bin/python
PIP   := -m pip --disable-pip-version-check --quiet install
# The interpreter to build with; the first of these that is new enough. Override it: make PYTHON=/opt/python3.12/bin/python3
PYTHON ?= python3.13 python3.12 python3.11 python3

# PyTorch as the tests take it: built for the CPU, for what PyPI has for Linux brings gigabytes for GPUs. It is looked for
# where pip looks, then at TORCH_INDEX. Override them: make torch TORCH_INDEX=https://mirror.example/pytorch/cpu
TORCH ?= torch==2.13.0$(if $(filter Linux,$(shell uname -s)),+cpu)
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.DEFAULT_GOAL := help
.PHONY: help demo verify test lint types unit docs-check faults bench bench-quick studies docs peers try-peers torch clean

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: $(VENV)/.installed  ## Operate a real service and its files in ./demo: daily, rollback, maintenance
	@$(PY) -m runbook.demo --folder demo

verify: $(VENV)/.installed  ## Try all that operates a service once, on a real one in ./demo: verify.yml (a minute)
	@$(PY) -m runbook.demo --folder demo --verify

test: lint types docs-check unit  ## Everything that must pass: lint, types, docs, tests, a slice of the faults

lint: $(VENV)/.installed  ## Check the style
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.installed  ## Check the types
	$(VENV)/bin/mypy

docs-check: $(VENV)/.installed  ## Check that the docs are what the code and the playbooks say
	$(PY) -m runbook docs tasks --check
	$(PY) -m runbook docs sync --check

unit: $(VENV)/.installed try-peers  ## Run the tests, and an even slice of the fault sweeps and of what is compared with ansible-core
	$(PY) -m pytest

faults: $(VENV)/.installed  ## Kill and starve a run at every system call that matters; let a real cron run a job; needs strace (minutes)
	RUNBOOK_FAULTS=all $(PY) -m pytest tests/faults tests/unit/test_cli_schedule.py

bench: $(VENV)/.installed $(PEERS)/.installed  ## Measure against ansible-core, pyinfra and others; writes docs/benchmarks.md (about half an hour)
	$(PY) -m benchmarks --peers $(PEERS)/bin

bench-quick: $(VENV)/.installed  ## A short slice of the benchmarks, without writing docs/benchmarks.md
	$(PY) -m benchmarks --quick --peers $(PEERS)/bin

studies: $(VENV)/.installed  ## How often bench.infer and ort.optimize are right, quiet and under load (an hour, or two with PEERS_ML)
	$(PY) -m benchmarks.studies $(if $(PEERS_ML),--peers $(PEERS_ML))

docs: $(VENV)/.installed  ## Write what the docs have from the code and the playbooks
	$(PY) -m runbook docs tasks
	$(PY) -m runbook docs sync

peers: $(VENV)/.installed $(PEERS)/.installed  ## Compare the language and the core tasks with ansible-core, run live (minutes)
	PEERS_WHOLE=1 $(PY) -m pytest tests/peers

# Without the peers their tests skip themselves and say so.
try-peers: $(VENV)/.installed
	@$(MAKE) --no-print-directory --silent $(PEERS)/.installed || echo "ansible-core is not installed: what compares with it is skipped" >&2

torch: $(VENV)/.torch  ## Install PyTorch for the CPU (a few hundred MB), for the tests that are skipped without it

$(VENV)/.torch: Makefile | $(VENV)/.installed
	@$(PY) $(PIP) '$(TORCH)' onnxscript 2>/dev/null || $(PY) $(PIP) --extra-index-url '$(TORCH_INDEX)' '$(TORCH)' onnxscript
	@touch $@

clean:  ## Remove what was built, the environments included
	rm -rf $(VENV) $(PEERS) build dist demo *.egg-info .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Makes the environment $(1): by venv; by a pip from elsewhere where Debian keeps ensurepip in a package of its own.
define make-venv
	@$(1)/bin/python -m pip --version >/dev/null 2>&1 && exit 0; \
	for python in $(PYTHON); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    "$$python" -m venv --clear $(1) 2>/dev/null && exit 0; \
	    "$$python" -m venv --clear --without-pip $(1) \
	        && "$$python" -m pip --python $(1)/bin/python install --quiet pip && exit 0; \
	    echo "$$python cannot make a virtual environment: install its venv module (Debian: apt install python3-venv)" >&2; exit 1; \
	done; \
	echo "runbook needs Python 3.11 or later; none of '$(PYTHON)' is. Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1
endef

$(VENV)/.installed: pyproject.toml
	$(call make-venv,$(VENV))
	$(PY) $(PIP) --editable '.[dev]'
	@touch $@

$(PEERS)/.installed: pyproject.toml | $(VENV)/.installed
	$(call make-venv,$(PEERS))
	$(PEERS)/bin/python $(PIP) $$($(PY) -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['peers'])")
	@touch $@
