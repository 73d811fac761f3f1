#!/usr/bin/env bash
# All tests. Plain `cargo test` at the top of the workspace runs the same ones.
# usage: test.sh [host|qemu]
. "$(dirname "$0")/lib.sh"
what=${1:-all}

if [ "$what" != qemu ]; then
    say "running the tests of the host"
    cargo test --locked --workspace --exclude axhv --exclude axhv-tests $(exclude_guests)
    say "running the interleavings of the entry and kick protocol"
    RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$TARGET_DIR/loom CARGO_PROFILE_RELEASE_LTO=off \
        cargo test --locked --release --package axvcpu --test loom
fi
if [ "$what" != host ]; then
    say "running the tests in QEMU"
    cargo test --locked --package axhv-tests
fi
