#!/usr/bin/env bash
# Builds the bare-metal guests of guests/ into build/guests/ARCH/NAME (arm64 images).
. "$(dirname "$0")/lib.sh"
packages=$(bare_packages | sed 1d)
args=()
for package in $packages; do args+=(--package "$package"); done
[ ${#args[@]} -gt 0 ] || exit 0

say "building the guests"
cargo build --release --locked "${args[@]}" --target "$TRIPLE"
mkdir -p "$GUESTS"
for elf in "$TARGET_DIR/$TRIPLE/release"/guest-*; do
    [ -x "$elf" ] && [ -f "$elf" ] || continue
    name=${elf##*/guest-}
    stale "$GUESTS/$name" "$elf" || continue
    llvm llvm-objcopy -O binary "$elf" "$GUESTS/$name"
    cp "$elf" "$GUESTS/$name.elf"
done
