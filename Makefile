# castmatch. Each target sets up what is missing and may be run again; scripts/ holds the work.
# Folders and ports come from the environment: see docs/install.md.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PG_CONFIG ?=
BINDIR ?= /usr/local/bin
BENCH ?=
export PG_CONFIG BINDIR BENCH

stages := format clippy engine deploy companion extension regress e2e clients majors long chroot

.PHONY: demo test $(addprefix test-,$(stages)) install package model bench bench-quick bench-cache bench-quality bench-match bench-queue bench-chat stop clean distclean env help

demo: ## a private server with the extension, demo data, matches, a chat and the companion
	@scripts/demo.sh

test: ## all tests: test-format, test-clippy, test-engine, test-deploy, test-companion, test-extension, test-regress, test-e2e, test-clients, test-majors
# test leaves out test-long: the index, pruning and the companion at length; and test-chroot: packages and images in systems of their own
	@scripts/test.sh

$(addprefix test-,$(stages)): test-%:
	@scripts/test.sh $*

install: ## the extension, the model and the companion into the server of PG_CONFIG=/path/to/pg_config
	@scripts/install.sh all

package: ## Debian packages of the extension, the model and the companion, into .castmatch/packages
	@scripts/package.sh

model: ## only the model into the server of PG_CONFIG=/path/to/pg_config
	@scripts/install.sh model

bench: ## the index against pgvector's in one server; hours. Options of castmatch-bench index in BENCH=
	@scripts/bench.sh

bench-quick: ## the same over a thousand rows: shows that it works, its figures say nothing
	@scripts/bench.sh quick

bench-cache: ## the caches: what a hit costs beside Redis, sessions at once, hit ratio; options of castmatch-bench cache in BENCH=
	@scripts/bench.sh cache

bench-quality: ## known-item search: match against its legs, plain SQL and ts_rank_cd; options of castmatch-bench quality in BENCH=
	@scripts/bench.sh quality

bench-match: ## how long a match takes, beside the bare SQL it stands for; options of castmatch-bench match in BENCH=
	@scripts/bench.sh match

bench-queue: ## rows per second of the queue, beside the model alone; options of castmatch-bench queue in BENCH=
	@scripts/bench.sh queue

bench-chat: ## how long a turn of chat takes, and what a model of another server adds; options of castmatch-bench chat in BENCH=
	@scripts/bench.sh chat

stop: ## stops what demo, test and bench have started
	@scripts/state.sh stop

clean: ## stops, then removes this checkout's servers, data and logs (.castmatch)
	@scripts/state.sh clean

distclean: ## clean, then removes the cache: builds, model, cargo-pgrx
	@scripts/state.sh distclean

env: ## prints the exports for running cargo by hand: eval "$(make -s env)"
	@scripts/state.sh env

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile
