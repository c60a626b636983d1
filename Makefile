# What a newcomer types. `make demo` needs Rust and Python 3; `make test` also Go, Node.js and Java with Maven.
# Everything else is installed into this folder (.tools), nothing into the machine.

PYTHON := .tools/venv/bin/python

# What setup installs comes before what the machine may have (mosquitto, buf).
export PATH := $(CURDIR)/.tools/bin:$(PATH)

.PHONY: help setup demo build test lint test-rust test-languages test-examples conformance test-demo chaos test-chaos sabotage bench \
	test-bench doc clean

help:
	@echo "make demo    10 000 real flights through Danube into SQLite, with a kill half way (about a minute once built)"
	@echo "make test    everything that CI checks"
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

test: setup lint test-rust test-languages test-examples conformance test-demo test-chaos test-bench

lint: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	tools/check-proto
	tools/check-sinks
	.tools/bin/cargo-deny --log-level error check bans licenses sources
	tools/tidy
	tools/check-readme
	$(PYTHON) tools/protocol-reference --check

# The tests start the programs of this workspace: build them first.
test-rust: setup
	cargo build --workspace --all-targets --quiet
	cargo test --workspace --quiet

test-languages: setup
	$(PYTHON) -m pytest --quiet tests/plain tests/conformance tests/pod
	$(PYTHON) -m pytest --quiet sdk-python
	cd sdk-go && go vet ./... && go test ./...
	cd sdk-go && buf generate && git diff --exit-code -- gen
	cd examples/file-source-go && go vet ./... && go test ./...
	cd sdk-typescript && npm test --silent
	mvn --quiet --batch-mode -Dstyle.color=never -Dmaven.test.redirectTestOutputToFile=true verify

# The examples on the real systems that they are made for, their READMEs word by word, and what `init` makes.
test-examples: setup
	cargo build --quiet --package danube-sidecar --package danube-devbroker --package file-source --package mqtt-source
	$(PYTHON) -m pytest --quiet tests/examples tests/scaffolds

# Every connector over TCP and over a Unix socket; a language that is missing is named, and fails in CI.
conformance: setup
	@cargo build --quiet --package danube-sidecar --package file-source --package danube-connector-sdk --examples --bins
	@$(PYTHON) tools/conformance

test-demo: setup
	cargo build --quiet --package danube-sidecar --package file-source
	$(PYTHON) examples/demo/demo.py

# Real processes, and faults while records are in flight (tests/chaos). ROUND=k plays one round of a seed.
ROUNDS := 20
CHAOS := $(if $(SEED),--seed $(SEED)) $(if $(ROUND),--round $(ROUND)) \
	$(if $(PROFILE),--profile $(PROFILE)) $(if $(INTAKE),--intake $(INTAKE)) $(if $(JOBS),--jobs $(JOBS))

chaos:
	@tools/setup python faketime
	@cargo build --quiet --package danube-sidecar --package danube-devbroker --package danube-sidecar-tests
	@target/debug/chaos --rounds $(ROUNDS) $(CHAOS)

# As many rounds as fit into five minutes, always of the same seed: `make chaos` looks for new trouble.
test-chaos: setup
	cargo build --quiet --package danube-sidecar --package danube-devbroker --package danube-sidecar-tests
	target/debug/chaos --for 300s --seed 1

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
