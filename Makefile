# The two commands: `make demo` runs the whole method on a tiny model, `make test` runs the tests.
PYTHON ?= python3
RUN = .venv/bin

.PHONY: demo test lint bench

demo: .venv
	$(RUN)/rlmec run tiny

test: .venv
	$(RUN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: .venv
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

bench: .venv
	$(RUN)/python benchmarks --write docs/benchmarks.md

# A half-made environment is removed, so that the next call does not take it for a whole one.
.venv: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(RUN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]' \
		|| { rm -rf .venv; exit 1; }
	touch .venv
