.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install run test check format bench soak pins clean

# Another Python than the one found: make install PYTHON=/path/to/python3.12
PYTHON ?=
# More words for the command behind a target: make test ARGS="-k resume -x"
ARGS ?=

BIN := .venv/bin
STAMP := .venv/installed
PINS := requirements/run.txt requirements/test.txt

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## Make .venv/ with Baton, every extra and the test tools; at once if nothing changed
	@:

# A checkout that was copied or moved, or whose Python is gone, needs a new .venv/.
ifneq "$(shell test -x $(BIN)/python && cat $(STAMP) 2>/dev/null)" "$(CURDIR)"
.PHONY: $(STAMP)
endif

$(STAMP): pyproject.toml $(PINS)
	@sh requirements/install.sh $(STAMP) $(if $(PYTHON),"$(PYTHON)")

run: install ## Start Baton: serve at a terminal, chat with whatever is piped in
	@if [ -t 0 ]; then exec $(BIN)/baton serve $(ARGS); else exec $(BIN)/baton chat $(ARGS); fi

# $(call pytest,WORDS): its code is 5 where ARGS leave nothing to run; only if all do is that an error.
pytest = $(BIN)/python -m pytest $(1) $(ARGS); \
	code=$$?; [ $$code -eq 5 ] || ran=$$code; [ $$code -eq 0 ] || [ $$code -eq 5 ] || exit $$code

test: install ## Run the tests: most of them five at a time, the heavy ones two, the rest alone
	@ran=5; \
	$(call pytest,-n 5 --dist worksteal -m "not soak and not heavy and not alone"); \
	$(call pytest,-n 2 --dist worksteal -m "heavy and not soak"); \
	$(call pytest,-m "alone and not soak"); \
	exit $$ran

check: install ## Check format, lint, types and the arrows between packages
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## Put the code in its form, and mend what lint can mend by itself
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: install ## Measure; print a table and write bench.json
	$(BIN)/python -m benchmarks $(ARGS)

soak: install ## Run the long rounds (hours)
	$(BIN)/python -m pytest -m soak --timeout=14400 $(ARGS)

pins: install ## Write the requirement files anew; ARGS=--upgrade takes the newest versions
	@test -x .venv/pins/bin/uv || $(BIN)/python -m venv .venv/pins
	@.venv/pins/bin/pip install --quiet uv
	$(COMPILE) --output-file requirements/run.txt --all-extras pyproject.toml $(ARGS)
	$(COMPILE) --output-file requirements/test.txt --constraints requirements/run.txt \
		requirements/test.in $(ARGS)

COMPILE := .venv/pins/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make pins"

clean: ## Remove .venv/, caches and builds; what Baton keeps in .baton/ stays
	rm -rf .venv build dist *.egg-info bench.json
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.baton/*' -not -path './.git/*' -prune -exec rm -rf {} +
