#!/usr/bin/env bash
# Formatting and lints, for what runs on the host and what runs on the bare machine.
# usage: check.sh [fmt|clippy|bare]
#        check.sh vms: the VM descriptions of VMS instead, files or folders; against BOARD if it is set
. "$(dirname "$0")/lib.sh"
what=${1:-all}

if [ "$what" = vms ]; then
    read -r -a vms <<<"${VMS:-}"
    [ ${#vms[@]} -gt 0 ] || die 2 "VMS names no VM description"
    [ -z "${BOARD:-}" ] || vms+=(--board "$BOARD")
    cargo run --locked --quiet --package axvmconfig --features cli -- \
        --arch "$ARCH" check "${vms[@]}"
    exit
fi
if [ "$what" = bare ]; then
    say "linting what runs on the bare machine, $ARCH"
    # What `make bench-peers` runs guests with on riscv64 is no part of a plain build.
    features=()
    [ "$ARCH" != riscv64 ] || features=(--features guest-bench/kvmhost)
    # shellcheck disable=SC2046
    cargo clippy --locked --quiet --target "$TRIPLE" $(bare_packages | behind --package) \
        ${features[@]+"${features[@]}"} -- -D warnings
    exit
fi
if [ "$what" != clippy ]; then
    say "checking the format"
    cargo fmt --all -- --check
fi
if [ "$what" != fmt ]; then
    say "linting what runs on the host"
    cargo clippy --locked --all-targets --quiet -- -D warnings
    for_each_arch scripts/check.sh bare
fi
