# The two commands of this project, and a few more.
#
#   make run     install what is missing (asks first), build, start
#   make test    the same for the tests, then run them all
#
# YES=1      do not ask before installing system packages
# OFFLINE=1  download no speech model on the first start
# ARGS=...   more arguments for `offhook run`, e.g. make run ARGS="--home /srv/offhook"

SHELL := /bin/bash
.DEFAULT_GOAL := help

# rustup's folder is not on the PATH of a login that is older than rustup.
export PATH := $(HOME)/.cargo/bin:$(PATH)

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BINARY := $(TARGET_DIR)/release/offhook

.PHONY: help run build test lint deny fuzz install-service uninstall-service

help:
	@sed -n 's/^# \{0,1\}//p; /^$$/q' Makefile

run: build
	@exec $(BINARY) run $(ARGS)

build:
	@deploy/prepare.sh build
	@[ -x $(BINARY) ] || echo "First build: 8 to 9 minutes on 2 cores. Later ones take seconds."
	@cargo build --release --locked

test:
	@deploy/prepare.sh test
	@tests/run.sh

# What .ci/run asks of every change besides the tests.
lint:
	cargo fmt --all --check
	cargo clippy --workspace --locked -- -D warnings
	cargo clippy --workspace --all-targets --locked -- -D warnings -A clippy::disallowed_methods

deny:
	cargo deny check licenses bans sources

# One target after the other, FUZZ_S seconds each. Needs `cargo install cargo-fuzz`; on nightly with AddressSanitizer too.
FUZZ_S ?= 60
fuzz:
	@tests/fuzz/run.sh $(FUZZ_S)

install-service: build
	@BINARY=$(BINARY) deploy/install-service.sh

uninstall-service:
	@deploy/install-service.sh remove
