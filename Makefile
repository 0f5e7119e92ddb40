# make demo   a whole flash sale on this machine, and its verdict
# make test   every test, on real Redis, MariaDB and Kafka-protocol broker
# Both install what is missing first. `make help` lists the rest. `make install` takes PREFIX and DESTDIR.

# Cargo knows CARGO_TARGET_DIR by itself; we only have to find what it built.
TARGET := $(or $(CARGO_TARGET_DIR),target)
# One profile for tests, lints and docs, so that dependencies and their build scripts (librdkafka!) are built once
# for all of them. The demo is release, because its figures are shown.
CI := --profile ci
# What is tested and linted. The feature `faults` lets tests kill flashd between two steps and give it a wrong clock; a
# release has neither.
TESTED := $(CI) --workspace --features flashd/faults

.PHONY: help demo test test-apache check-api check-deploy build fmt lint docs tools browser kafka report-picture monitoring-picture

help:
	@sed -n 's/^# //p' Makefile | head -3
	@echo "make build  release binaries in $(TARGET)/release"
	@echo "make install, make uninstall  programs, manual, completions, systemd units; after make build"
	@echo "make dist   the archive of a release, with checksums and everybody's licences, in dist/"
	@echo "make fmt    format;  make lint: clippy, warnings are errors;  make docs: API documentation"
	@echo "make check-api  the API against its OpenAPI documents, by schemathesis (two minutes)"
	@echo "make check-deploy  everything that runs flashd elsewhere: compose, nginx, Prometheus, Kubernetes, systemd"
	@echo "make check-install  what install and dist make;  make deny: licences, sources and advisories of dependencies"
	@echo "make tools  install what is missing;  make kafka: Apache Kafka's jars for --kafka apache"

demo: build
	$(BUILT)/flashctl demo

# `cargo test` alone does not build the binaries that the tests of other packages run, and runs one test program after the other.
test: tools browser
	cargo build $(TESTED) --bins
	scripts/run-tests $(TESTED)

# Apache Kafka as the broker; needs Java and Maven.
test-apache: tools kafka
	cargo test $(CI) -p flash-stack --test apache

# flashd against its own OpenAPI documents, by schemathesis.
check-api: tools
	@scripts/check-api

# compose, nginx, Prometheus, Grafana, Redis, Kafka, Kubernetes, systemd: validated, and run where no container is needed.
check-deploy:
	@scripts/check-deploy

.PHONY: check-install deny install uninstall dist

# What is built, installed and packed.
PROFILE ?= release
BUILT = $(TARGET)/$(PROFILE)
PREFIX ?= /usr/local
DESTDIR ?=

# Installs, packs and unpacks once more, in a temporary directory, with the programs that are tested.
check-install: tools
	cargo build $(TESTED) --bins
	@scripts/check-install $(TARGET)/ci

deny:
	@scripts/deny

build: tools
	cargo build --locked --profile $(PROFILE) --workspace --bins

# Builds nothing, so that root needs no compiler.
install:
	@test -x $(BUILT)/flashd -a -x $(BUILT)/flashctl || { echo "error: nothing is built in $(BUILT)"; echo "hint: make build"; exit 1; } >&2
	@scripts/install-files --system $(BUILT) "$(DESTDIR)" "$(PREFIX)"

uninstall:
	@scripts/install-files --remove "$(DESTDIR)" "$(PREFIX)"

dist: build
	@scripts/make-dist $(BUILT)

fmt:
	cargo fmt --all

lint:
	cargo fmt --all --check
	cargo clippy $(TESTED) --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc $(CI) --workspace --no-deps

tools:
	@scripts/install-tools
	@scripts/install-tansu

browser:
	@scripts/install-tools --browser

# The picture of a report in the docs, from the report in the docs.
report-picture: browser
	scripts/report-picture docs/reports/canonical.html docs/pictures/loadtest-report.png

# The panels of the dashboards during a sale in which things break; about two minutes.
monitoring-picture:
	@scripts/check-deploy picture

kafka:
	@scripts/fetch-kafka
