# Everything a person does with a checkout. Needs Python 3.11 or newer, make and git; the rest goes into .venv.

PYTHON ?= python3
BIN := .venv/bin
# As pip does: the certificates that this machine trusts, a company's proxy among them.
export UV_SYSTEM_CERTS ?= true
.DEFAULT_GOAL := help
.PHONY: help up down test check fix docs bench model lock clean

help:  ## what can be done here
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 16

up: .venv/.runtime  ## start everything on the built-in model, in the foreground
	@$(BIN)/nearstream up $(ARGS)

down:  ## stop what `make up` started
	@$(BIN)/nearstream down

test: .venv/.dev  ## run the tests; COV=1 measures and prints what they cover
	@$(BIN)/python -m pytest $(if $(COV),--cov --cov-report=term) $(ARGS)

check: .venv/.dev  ## lint, formatting, strict types, layers
	@$(BIN)/ruff check src tests benchmarks training examples docs
	@$(BIN)/ruff format --check src tests benchmarks training examples docs
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

fix: .venv/.dev  ## let the tools mend what they can
	@$(BIN)/ruff check --fix src tests benchmarks training examples docs
	@$(BIN)/ruff format src tests benchmarks training examples docs

docs: .venv-docs/.built  ## build the documentation into .docs-site; a broken link or anchor is an error
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build -q
	@echo "Open .docs-site/index.html, or: python3 -m http.server -d .docs-site"

BENCH ?= token_path
bench: .venv/.dev  ## measure: BENCH=token_path, http_server (beside transformers), crowd or steering; prints and records
	@$(BIN)/python -m benchmarks.$(BENCH) $(ARGS)

MINUTES ?= 62
MODEL_OUT ?= src/nearstream/models/builtin
model: .venv/.uv  ## train the built-in model anew: MINUTES=62 of training, into MODEL_OUT
	@test -x .training/bin/python || $(PYTHON) -m venv .training
	@.training/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0
	@$(BIN)/uv pip install -q --python .training/bin/python --no-deps --require-hashes -r training/requirements.lock
	.training/bin/python -m training.tokenizer --out .training/model
	.training/bin/python -m training.train --out .training/model --minutes $(MINUTES)
	.training/bin/python -m training.export --weights .training/model/model.pt --tokenizer .training/model --out $(MODEL_OUT)
	.training/bin/python -m training.score --model $(MODEL_OUT) --report .training/model/score.json
	.training/bin/python -m training.card --report .training/model/report.json --score .training/model/score.json \
	    --out $(MODEL_OUT)/MODEL_CARD.md

lock: .venv/.uv  ## resolve the dependencies anew into the lock files
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --upgrade pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    -c requirements.lock pyproject.toml --group dev -o requirements-dev.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --group bootstrap -o requirements-bootstrap.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-deps \
	    --no-annotate src/nearstream/models/convert-requirements.in -o src/nearstream/models/convert-requirements.lock
	@for client in tests/contract/clients/*.in; do \
	    $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	        --upgrade $$client -o $${client%.in}.lock || exit 1; done
	@cd tests/contract/clients/vercel_ai && npm update --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-deps \
	    --no-annotate training/requirements.in -o training/requirements.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --upgrade docs/site/requirements.in -o docs/site/requirements.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-deps \
	    --no-annotate benchmarks/http_server/requirements.in -o benchmarks/http_server/requirements.lock

clean:  ## remove the environment and caches
	rm -rf .venv .venv-bench .venv-clients .venv-docs .docs-site .coverage .mypy_cache .ruff_cache .hypothesis

# The environment: uv from its lock, then the locked packages, then this project in place.
.venv/.uv: requirements-bootstrap.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "nearstream needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	    { echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@touch $@

.venv/.runtime: .venv/.uv requirements.lock pyproject.toml
	@echo "Installing nearstream into .venv (about 500 MB) …"
	@$(BIN)/uv pip install -q --require-hashes -r requirements.lock
	@$(BIN)/uv pip install -q --no-deps -e .
	@touch $@

.venv/.dev: .venv/.uv requirements-dev.lock pyproject.toml
	@$(BIN)/uv pip install -q --require-hashes -r requirements-dev.lock
	@$(BIN)/uv pip install -q --no-deps -e .
	@touch $@ .venv/.runtime

.venv-docs/.built: .venv/.uv docs/site/requirements.lock
	@test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	@$(BIN)/uv pip install -q --python .venv-docs/bin/python --require-hashes -r docs/site/requirements.lock
	@touch $@
