#!/usr/bin/env bash
# Fetches what `make bench-peers` compares with, from the Debian archive, into build/peers/ARCH:
# Xen's hypervisor (xen, xen.version), and Debian's QEMU with the libraries it needs, as a host that
# runs KVM has it (qemu/). The kernel of that host is the one scripts/linux.sh fetches. On riscv64
# there is no Xen, and KVM is a module of that kernel (kvm.ko); what runs guests is our own.
# Exits with 4 where no Debian archive can be had.
. "$(dirname "$0")/lib.sh"
. scripts/archive.sh

readonly PEERS=$PWD/build/peers/$ARCH

# The newest of Xen's packages.
xen() {
    local package
    package=$(private apt-cache pkgnames xen-hypervisor- | grep -- "-$DEB_ARCH\$" | sort -V | tail -n 1)
    [ -n "$package" ] || no_archive "its lists name no xen-hypervisor for $DEB_ARCH"
    say "fetching $package"
    unpack "$package" "boot/xen-*-$DEB_ARCH" "$PEERS/xen"
    private apt-cache show --no-all-versions "$package" | sed -n 's/^Version: //p' >"$PEERS/xen.version"
}

# The empty status file makes apt fetch everything that QEMU depends on.
qemu() {
    say "fetching qemu-system-arm and what it depends on (some 120 MB)"
    private apt-get install --download-only --yes --no-install-recommends qemu-system-arm >&2 ||
        no_archive "the download of qemu-system-arm failed"
    rm -rf "$PEERS/qemu.part"
    mkdir -p "$PEERS/qemu.part"
    local deb
    for deb in "$STATE"/cache/archives/*.deb; do dpkg-deb -x "$deb" "$PEERS/qemu.part"; done
    rm -f "$STATE"/cache/archives/*.deb
    mv "$PEERS/qemu.part" "$PEERS/qemu"
}

# From the very package of the kernel.
module() {
    local package
    package=$(<"$GUESTS/linux/VERSION")
    command -v xz >/dev/null || die 1 "xz is not here: it unpacks KVM's module"
    say "fetching $package for its kvm module"
    unpack "$package" '*/kernel/arch/riscv/kvm/kvm.ko.xz' "$PEERS/kvm.ko.xz"
    xz -dc "$PEERS/kvm.ko.xz" >"$PEERS/kvm.ko.part"
    mv "$PEERS/kvm.ko.part" "$PEERS/kvm.ko"
    cp "$GUESTS/linux/VERSION" "$PEERS/kvm.version"
}

mkdir -p "$PEERS"
if [ "$ARCH" = riscv64 ]; then
    [ -e "$PEERS/kvm.version" ] && cmp -s "$GUESTS/linux/VERSION" "$PEERS/kvm.version" && exit 0
    open_archive
    module
    exit 0
fi
[ -e "$PEERS/xen.version" ] && [ -e "$PEERS/qemu" ] && exit 0
open_archive
[ -e "$PEERS/xen.version" ] || xen
[ -e "$PEERS/qemu" ] || qemu
