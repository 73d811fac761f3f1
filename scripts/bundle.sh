#!/usr/bin/env bash
# Packs the VM descriptions of VMS, with the images they name, into OUT: one archive that the
# hypervisor takes as its ramdisk, or that `make image` embeds. Makes the guests first.
. "$(dirname "$0")/lib.sh"
read -r -a vms <<<"${VMS:-}"
[ ${#vms[@]} -gt 0 ] || die 2 "VMS names no VM description"
for vm in "${vms[@]}"; do [ -e "$vm" ] || die 2 "there is no $vm"; done
: "${OUT:=$BUILD/bundle.cpio}"
mkdir -p "$(dirname "$OUT")"

scripts/guests.sh
if wants_linux "${vms[@]}"; then scripts/linux.sh; fi

say "packing ${vms[*]} into $OUT"
cargo run --locked --quiet --package axvmconfig --features cli -- \
    --arch "$ARCH" bundle --out "$OUT" "${vms[@]}"
