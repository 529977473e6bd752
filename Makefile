# make run   set up .venv and start the gateway          make test  set up .venv and run every test
# make perf  measure side by side with the peers         make lint  ruff, mypy --strict

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -qq

export HF_HUB_OFFLINE ?= 1

.PHONY: run test perf lint format docs clean help

help:
	@sed -n '1,2p' Makefile | cut -c3-

run: $(VENV)/.run
	@$(BIN)/helix up $(ARGS)

test: $(VENV)/.test
	@./.ci/chromium
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest $(ARGS)

perf: $(VENV)/.test
	$(BIN)/python -m perf all $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.test
	$(BIN)/python -m docs.generate

clean:
	rm -rf $(VENV) build dist *.egg-info

# torch goes first, so that whichever build is there satisfies all that ask for it later. Its CPU build is enough; where
# pip's own index has CUDA's, gigabytes of it, say where the other is: make run TORCH_PIP_OPTIONS="--index-url ..."
TORCH_PIP_OPTIONS ?=

$(VENV)/.torch: constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Helix into $(VENV): a few minutes the first time, seconds after that."
	@echo "  1/2 torch"
	@$(PIP) install $(TORCH_PIP_OPTIONS) -c constraints.txt torch
	@touch $@

$(VENV)/.run: $(VENV)/.torch pyproject.toml
	@echo "  2/2 everything else"
	@$(PIP) install -c constraints.txt -e '.[all]'
	@touch $@

$(VENV)/.test: $(VENV)/.run pyproject.toml
	@echo "  and what the tests need"
	@$(PIP) install -c constraints.txt -e '.[all,dev]'
	@touch $@
