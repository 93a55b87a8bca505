# make demo   installs exoclass into .venv and tags a shipped example with the shipped model
# make test   installs, checks style and types, and runs the tests
# make trials measures what labels and retraining bring, for half an hour
# All need Python 3.11 or newer; what is installed is not installed again.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test lint model trials clean

demo: $(INSTALLED)
	@$(BIN)/exoclass predict data/examples/*.nbib --format table

# One thread for each of pytest's two workers: with more they wait for each other.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The shipped model, byte for byte; its card names this command.
model: $(INSTALLED)
	$(BIN)/exoclass train data/exosome_therapy.jsonl -o models/tfidf --force

# What labels and retraining bring, half an hour on two cores: data/reports/retraining.json and labelling.svg.
trials: $(INSTALLED)
	$(BIN)/python tests/trials/retraining.py

$(INSTALLED): pyproject.toml configs/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "exoclass needs Python 3.11 or newer; name one: make demo PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv \
	  || { echo "Python lacks venv; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing exoclass and its dependencies into .venv; the first time this takes a few minutes." >&2
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25" 2>.venv/pip.log \
	  && $(BIN)/python -m pip install --quiet --constraint configs/constraints.txt --editable ".[dev]" 2>>.venv/pip.log \
	  || { cat .venv/pip.log >&2; exit 1; }
	@touch $@

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
