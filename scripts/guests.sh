#!/usr/bin/env bash
# Builds the bare-metal guests of guests/ as arm64 images: build/guests/ARCH/NAME.bin.
. "$(dirname "$0")/lib.sh"
packages=$(bare_packages | sed 1d)
args=()
for package in $packages; do args+=(--package "$package"); done
[ ${#args[@]} -gt 0 ] || exit 0

say "building the guests"
cargo build --release --locked "${args[@]}" --target "$TRIPLE"
for elf in "$TARGET_DIR/$TRIPLE/release"/guest-*; do
    [ -x "$elf" ] && [ -f "$elf" ] || continue
    guest=$GUESTS/${elf##*/guest-}
    stale "$guest.bin" "$elf" || continue
    mkdir -p "$GUESTS"
    llvm llvm-objcopy -O binary "$elf" "$guest.bin"
    cp "$elf" "$guest.elf"
done
