#!/usr/bin/env bash
# All tests. Plain `cargo test` at the top of the workspace runs the same ones but for loom's.
# Without ARCH those in QEMU are for all architectures.
# usage: test.sh [host|qemu]
. "$(dirname "$0")/lib.sh"
what=${1:-all}
mkdir -p build
readonly HOST_LOG=build/test-host.log QEMU_LOG=build/test-qemu.log

host_tests() {
    say "running the tests of the host"
    # shellcheck disable=SC2046
    cargo test --locked --workspace --exclude axhv-tests $(bare_packages | behind --exclude)
    # These crates are built once more with loom's atomics instead of the machine's.
    local file crate
    for file in crates/*/tests/loom.rs; do
        crate=${file#crates/}
        crate=${crate%%/*}
        say "running all interleavings of $crate"
        RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$TARGET_DIR/loom CARGO_PROFILE_RELEASE_LTO=off \
            cargo test --locked --release --package "$crate" --test loom
    done
}

qemu_tests() {
    for_each_arch scripts/setup.sh
    say "running the tests in QEMU"
    ARCH=$ASKED CPU='' GIC='' cargo test --locked --package axhv-tests
}

if [ "$what" != qemu ]; then host_tests | tee "$HOST_LOG"; fi
if [ "$what" != host ]; then qemu_tests | tee "$QEMU_LOG"; fi
if [ "$what" = all ]; then ARCH=$ASKED scripts/tests-ran.sh "$HOST_LOG" "$QEMU_LOG"; fi
