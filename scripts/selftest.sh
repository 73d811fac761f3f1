#!/usr/bin/env bash
# Builds the image that tries axhal on the machine: build/ARCH/selftest/axhv.elf and axhv.bin.
. "$(dirname "$0")/lib.sh"
say "building the self-test of axhal"
cargo build --release --locked --package axhal-selftest --target "$TRIPLE"
to_image "$TARGET_DIR/$TRIPLE/release/axhal-selftest" "$BUILD/selftest"
