#!/usr/bin/env bash
# Builds the hypervisor into DIR/axhv.elf (with symbols) and DIR/axhv.bin (what boots), with the
# VMs of VMS embedded.
# usage: image.sh [DIR]           DIR is build/ARCH unless told
. "$(dirname "$0")/lib.sh"
dir=${1:-$BUILD}
mkdir -p "$dir"

bundle=
if [ -n "${VMS:-}" ]; then
    bundle=$dir/embedded.cpio
    OUT=$bundle scripts/bundle.sh
fi

say "building the hypervisor${bundle:+ with the bundle $bundle}"
# Not set at all when there is no bundle, so that the build doesn't depend on an empty name.
[ -z "$bundle" ] || export AXHV_BUNDLE=$PWD/$bundle
cargo build --release --locked --package axhv --target "$TRIPLE"

to_image "$TARGET_DIR/$TRIPLE/release/axhv" "$dir"
say "$dir/axhv.elf and $dir/axhv.bin are ready"
