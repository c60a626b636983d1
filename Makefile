# What a newcomer types. `make demo` needs Rust and Python 3; `make test` also Go, Node.js and Java with Maven.
# Everything else is installed into this folder (.tools), nothing into the machine.

PYTHON := .tools/venv/bin/python

# What setup installs comes before what the machine may have (mosquitto, buf).
export PATH := $(CURDIR)/.tools/bin:$(PATH)

.PHONY: help setup demo build test test-all lint test-rust test-languages test-examples conformance chaos sabotage bench \
	test-bench doc clean

help:
	@echo "make demo    10 000 real flights through Danube into SQLite, with a kill half way (about a minute once built)"
	@echo "make test    everything that CI checks (25 to 30 minutes from nothing on 2 cores, 20 once built)"
	@echo "make test-all  and what no release goes without: a long chaos of a new seed, sabotage, 100 000 schedules, the bench"
	@echo "make chaos   kill, stop, cut and starve everything; every record accounted for (ROUNDS=n SEED=s ROUND=k)"
	@echo "make sabotage  make the code wrong, a patch at a time, and see its test fail"
	@echo "make conformance  certify the connectors of every language (docs/conformance.md)"
	@echo "make bench   how fast it is, beside what it replaces (BENCHMARKS.md)"
	@echo "make lint    formatting, clippy, the protocol, licenses"
	@echo "make doc     the Rust documentation, in target/doc"
	@echo "make setup   install what the others need into .tools (they call it themselves)"
	@echo "make clean   remove all that was built or installed here"

setup:
	@tools/setup all

demo:
	@tools/setup demo
	@echo "building the sidecar and the file source (a few minutes the first time)"
	@cargo build --quiet --package danube-sidecar --package file-source
	@$(PYTHON) examples/demo/demo.py

build:
	cargo build --workspace --all-targets

# Stage by stage, side by side, with the minutes of each at the end (tools/suite --list).
test:
	@tools/suite

test-all:
	@tools/suite --all

lint:
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	@tools/suite lint

test-rust:
	@tools/suite rust documentation

test-languages:
	@tools/suite 'tests of python' 'tests of go' 'tests of typescript' 'tests of java' plain pod

test-examples:
	@tools/suite examples scaffolds readmes

# Every connector over TCP and over a Unix socket; a language that is missing is named, and fails in CI.
conformance: setup
	@cargo build --quiet --package danube-sidecar --package file-source --package danube-connector-sdk --examples --bins
	@$(PYTHON) tools/conformance

# Real processes, and faults while records are in flight (tests/chaos). ROUND=k plays one round of a seed.
ROUNDS := 20
CHAOS := $(if $(SEED),--seed $(SEED)) $(if $(ROUND),--round $(ROUND)) \
	$(if $(PROFILE),--profile $(PROFILE)) $(if $(INTAKE),--intake $(INTAKE)) $(if $(JOBS),--jobs $(JOBS))

chaos:
	@tools/setup python faketime
	@cargo build --quiet --package danube-sidecar --package danube-devbroker --package danube-sidecar-tests
	@target/debug/chaos --rounds $(ROUNDS) $(CHAOS)

# Does a test notice when the code is wrong (tests/sabotage)?
sabotage:
	@tools/setup demo
	@tools/sabotage

# Everything that is measured is a release build; CASES=hop,sink measures only these, and SWEEP=docs/bench draws
# how the cost grows instead.
RELEASE := cargo build --release --quiet --package danube-sidecar --package danube-devbroker \
	--package danube-sidecar-tests --bin danube-sidecar --bin danube-devbroker --bin bench

bench:
	@tools/setup demo
	@$(RELEASE)
	@target/release/bench $(if $(CASES),--only $(CASES)) $(if $(SWEEP),--sweep $(SWEEP))

# One short turn of each case: fails only where a ratio is far off.
test-bench: setup
	$(RELEASE)
	target/release/bench --short

doc:
	tools/setup demo
	cargo doc --workspace --no-deps

clean:
	rm -rf target .tools
	git clean -fdX -- examples tests sdk-python sdk-go sdk-typescript sdk-java
