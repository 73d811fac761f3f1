# The front door. Everything a target does is in scripts/; this file names targets and variables.

# What a user may set on the command line. All of it reaches the scripts by the environment; what has
# no default here depends on the architecture, and scripts/lib.sh has it. Tests and checks go over all
# architectures unless ARCH names one; everything else takes aarch64 then.
ARCH      ?=
CPUS      ?= 2
MEM       ?= 2G
GIC       ?=
CPU       ?=
VMS       ?= configs/vms/$(or $(ARCH),aarch64)/linux.toml
APPEND    ?=
QEMU      ?=
QEMU_ARGS ?=
OUT       ?= build/$(or $(ARCH),aarch64)/bundle.cpio
DEBIAN_MIRROR ?=
DEBIAN_SUITE  ?=
UPDATE        ?=
export ARCH CPUS MEM GIC CPU VMS APPEND QEMU QEMU_ARGS OUT DEBIAN_MIRROR DEBIAN_SUITE UPDATE

.DEFAULT_GOAL := help
.PHONY: help setup run image bundle guests linux bench bench-peers bench-paths test test-host test-qemu fuzz check fmt clippy size loc clean

help:
	@scripts/help.sh

# Installs what the other targets need; says nothing when everything is there.
setup:
	@scripts/setup.sh

run: setup
	@scripts/run.sh

image: setup
	@scripts/image.sh

bundle: setup
	@scripts/bundle.sh

guests: setup
	@scripts/guests.sh

linux: setup
	@scripts/linux.sh

bench: setup
	@scripts/bench.sh run

bench-peers: setup
	@scripts/bench.sh peers

bench-paths: setup
	@scripts/bench.sh paths

test: setup
	@scripts/test.sh

test-host: setup
	@scripts/test.sh host

test-qemu: setup
	@scripts/test.sh qemu

# Needs a nightly compiler and cargo-fuzz, which setup doesn't install.
fuzz: setup
	@FUZZ_SECONDS=$(or $(SECONDS),60) scripts/fuzz.sh

# With VMS on the command line: those descriptions, not the sources.
check: setup
	@scripts/check.sh $(if $(filter command,$(firstword $(origin VMS))),vms)

fmt: setup
	@cargo fmt --all

clippy: setup
	@scripts/check.sh clippy

size: setup
	@scripts/size.sh

loc:
	@scripts/loc.sh

clean:
	@scripts/clean.sh
