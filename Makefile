PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST = $(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder
# An environment is complete once this file is newer than what it was built from.
READY = $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup run estimate test test-all check format bench profile learn mutations wheel tensorboard clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## create the virtual environment with the tested versions

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("rlcont needs Python 3.11 or newer; set PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

run: $(READY)  ## train; ARGS="algo=ddpg env=HalfCheetah-v4" by default; it says first how long that takes here
	@test -n "$(ARGS)" || $(MAKE) --no-print-directory estimate
	$(BIN)/rlcont $(or $(ARGS),algo=ddpg env=HalfCheetah-v4)

# A few hundred steps of the default run, without the compiler, which only a long run earns.
estimate: $(READY)
	@echo "Trying 500 steps ..."; folder=$$(mktemp -d); $(BIN)/rlcont algo=ddpg env=HalfCheetah-v4 total_steps=1500 \
	    algo.warmup_steps=1000 log.every=500 eval.every=null output=$$folder 2>/dev/null | awk \
	    '/steps\/s/ {speed = $$5} END {if (speed) printf "A million steps of DDPG: about %.1f hours here, at %d steps/s;" \
	    " the ETA, after warm-up and compiling, knows better.\n", 1e6 / speed / 3600, speed}'; rm -r $$folder

test: $(READY)  ## run the tests, but for the slow ones
	$(PYTEST) -m "not slow"

test-all: $(READY)  ## run every test
	$(PYTEST)

check: $(READY)  ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## training speed against the peers, on an idle machine; ARGS="--only rlcont-256 sb3-256"
	$(BIN)/python benchmarks/speed.py $(ARGS)

profile: $(READY)  ## where one training step's time goes; ARGS="algo.batch_size=512"
	$(BIN)/python benchmarks/profile_step.py $(ARGS)

learn: $(READY)  ## train each algorithm briefly and compare with before; ARGS="--seeds 3" measures anew
	$(BIN)/python benchmarks/learn.py $(ARGS)

mutations: $(READY)  ## make updates wrong and see that tests notice; ARGS=sac for one algorithm
	$(BIN)/python tests/mutations.py $(ARGS)

wheel: $(READY)  ## build dist/rlcont-*.whl
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

tensorboard: $(READY)  ## look at the runs
	$(BIN)/tensorboard --logdir outputs

clean:  ## remove the environments and the caches, never the runs
	rm -rf $(VENV) .bench build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
