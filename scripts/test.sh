#!/usr/bin/env bash
# All tests. Plain `cargo test` at the top of the workspace runs the same ones but for loom's.
# usage: test.sh [host|qemu]
. "$(dirname "$0")/lib.sh"
what=${1:-all}

if [ "$what" != qemu ]; then
    say "running the tests of the host"
    # shellcheck disable=SC2046
    cargo test --locked --workspace --exclude axhv-tests $(bare_packages | behind --exclude)
    # These crates are built once more with loom's atomics instead of the machine's.
    for file in crates/*/tests/loom.rs; do
        crate=${file#crates/}
        crate=${crate%%/*}
        say "running all interleavings of $crate"
        RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$TARGET_DIR/loom CARGO_PROFILE_RELEASE_LTO=off \
            cargo test --locked --release --package "$crate" --test loom
    done
fi
if [ "$what" != host ]; then
    say "running the tests in QEMU"
    cargo test --locked --package axhv-tests
fi
