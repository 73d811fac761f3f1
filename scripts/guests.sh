#!/usr/bin/env bash
# Builds the bare-metal guests of guests/ as images that a boot loader of ARCH takes:
# build/guests/ARCH/NAME.bin.
. "$(dirname "$0")/lib.sh"
say "building the guests"
# shellcheck disable=SC2046
cargo build --release --locked $(guest_packages | behind --package) --target "$TRIPLE"
for elf in "$TARGET_DIR/$TRIPLE/release"/guest-*; do
    [ -x "$elf" ] && [ -f "$elf" ] || continue
    guest=$GUESTS/${elf##*/guest-}
    stale "$guest.bin" "$elf" || continue
    mkdir -p "$GUESTS"
    # Renamed into place: another run may be reading them.
    llvm llvm-objcopy -O binary "$elf" "$guest.bin.$$"
    mv "$guest.bin.$$" "$guest.bin"
    cp "$elf" "$guest.elf"
done
