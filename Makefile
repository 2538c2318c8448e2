# The book's commands. `make help` lists them; README.md explains them.
# Everything runs in .venv, which tools/environment.sh makes from requirements.txt on first use.

SHELL := /bin/sh
VENV ?= .venv
PORT ?= 8000
RUN := $(VENV)/bin/python
export VENV PYTHON TORCH NBHELPERS_PRESET

.DEFAULT_GOAL := help
.PHONY: help book serve test check chapter links clean environment preset address version

help:
	@echo "make book                   run every chapter whose code, helpers or data changed, render the book, print its first page"
	@echo "make serve                  show the rendered book at http://127.0.0.1:$(PORT)/ (another port: PORT=8080)"
	@echo "make chapter NAME=two-clocks   run one chapter and render it"
	@echo "make test                   everything that can fail: lint, tests, all notebooks, the book, its pages in a browser"
	@echo "make check                  lint and fast tests, under two minutes"
	@echo "make links                  visit every outside link of the book"
	@echo "make clean                  remove the rendered book and its caches; keep the environment (ALL=1 removes it too)"
	@echo "make address REPOSITORY=https://github.com/you/book PAGES=https://you.github.io/book/   write your addresses everywhere"
	@echo "make version VERSION=0.2.0  write a new version and its tag everywhere"
	@echo
	@echo "PYTHON=/path/to/python3     the Python to use (3.11 or later); otherwise the first that fits is found"
	@echo "TORCH=cpu                   on Linux with no NVIDIA GPU: torch's small CPU build (200 MB, not several GB)."
	@echo "                            Given once, it is remembered; TORCH=default goes back"
	@echo "NBHELPERS_PRESET=full       run chapters at full size, not quick"

environment:
	@tools/environment.sh

preset:
	@tools/preflight.sh preset

book: preset environment
	@$(RUN) -m tools.book

chapter: preset
	@tools/preflight.sh chapter '$(NAME)'
	@tools/environment.sh
	@$(RUN) -m tools.book --chapter '$(NAME)'

serve: environment
	@$(RUN) -m tools.book --serve $(PORT)

test: preset environment
	@$(RUN) -m tools.stages test

check: preset environment
	@$(RUN) -m tools.stages check

links: preset environment
	@$(RUN) -m tools.book --links

address: environment
	@$(RUN) -m tools.address --repository '$(REPOSITORY)' --pages '$(PAGES)'

version: environment
	@$(RUN) -m tools.address --version '$(VERSION)'

clean:
	rm -rf _build pages/_generated .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv*' -not -path '*/node_modules/*' -prune -exec rm -rf {} +
	@if [ -n "$(ALL)" ]; then rm -rf "$(VENV)" .venv-colab .venv-colab.lock .venv-install.log tests/rendered/node_modules; fi
