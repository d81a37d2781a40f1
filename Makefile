# Two commands: `make backtest` and `make test`. Both set everything up; the second run starts at once.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The tests with a running bot: short in `make test`, in full in `make test-live`, the longest first.
LIVE_TESTS := --no-loadscope-reorder tests/live/test_stepped_parity.py tests/live
# The tests of the simulation: a few cases in `make test`, all in `make test-full`.
SIMULATION_TESTS := tests/integration/test_simulation_parity.py tests/integration/test_threshold_trades.py
# The tests that run freqtrade or call it: with another version, these tell.
FREQTRADE_TESTS := tests/integration/test_strategy.py tests/integration/test_strategy_messages.py tests/integration/test_backtest_with_freqtrade.py tests/integration/test_hyperopt.py tests/integration/test_dry_run.py

.PHONY: help backtest check test test-full test-live chaos test-freqtrade lint bench docs pictures clean

help:
	@echo "make backtest                      backtest the four presets on your candles, else on a synthetic market"
	@echo "make backtest DATADIR=… CONFIG=… TIMERANGE=… PAIRS=\"…\" TIMEFRAME=… HTF=…   on your candles"
	@echo "make check                         the fast tests: all that start no freqtrade process"
	@echo "make test                          run all tests"
	@echo "make test-full                     the simulation against freqtrade on all candles: an hour"
	@echo "make test-live                     bots live through 1,000 candles, faults and orders; writes docs/reliability.md"
	@echo "make chaos SEEDS=200               bots live through faults that are drawn from their seeds"
	@echo "make chaos SEED=17                 one of them again; its database and log are kept"
	@echo "make test-freqtrade FREQTRADE=…    the tests of freqtrade with another version of it"
	@echo "make lint                          ruff and mypy"
	@echo "make bench                         measure speed, write benchmarks/RESULTS.md"
	@echo "make docs                          build the documentation site into site/"
	@echo "make pictures                      draw the pictures of the README (needs Chromium)"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: Python 3.11 or newer is needed: name one with PYTHON=…" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.ready-dev: requirements-dev.txt $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

backtest: $(VENV)/.ready
	@$(BIN)/perp-imbalance backtest $(if $(CONFIG),--config $(CONFIG)) \
		$(if $(DATADIR),--datadir "$(DATADIR)") $(if $(TIMERANGE),--timerange $(TIMERANGE)) \
		$(if $(TIMEFRAME),--timeframe $(TIMEFRAME)) $(if $(HTF),--htf-timeframe $(HTF)) \
		$(if $(PAIRS),--pairs $(PAIRS))

check: $(VENV)/.ready-dev
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal perp_imbalance tests/unit

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

test-full: $(VENV)/.ready-dev
	SIMULATION_PARITY=full $(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(SIMULATION_TESTS)

test-live: $(VENV)/.ready-dev
	LIVE=full $(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(LIVE_TESTS)

chaos: $(VENV)/.ready-dev
	@cd tests && $(abspath $(BIN))/python -m support.chaos \
		$(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),200))

test-freqtrade:
	@test -n "$(FREQTRADE)" || { echo "make: name a version: FREQTRADE=2026.9" >&2; exit 2; }
	PYTHON=$(PYTHON) .ci/test-freqtrade $(FREQTRADE) $(FREQTRADE_TESTS)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy perp_imbalance strategies benchmarks deploy docs tests

bench: $(VENV)/.ready-dev
	$(BIN)/python -m benchmarks

docs: $(VENV)/.ready-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

pictures: $(VENV)/.ready-dev
	$(BIN)/python docs/pictures.py
	$(BIN)/python docs/report_picture.py

clean:
	rm -rf $(VENV) build site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
