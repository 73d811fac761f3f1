#!/usr/bin/env bash
# Makes the Linux guest: Debian's stock kernel and static busybox, from the Debian archive, as
# build/guests/ARCH/linux/{Image,initramfs.cpio.gz}. apt works in a state of its own below build/:
# the machine's own sources are read, and nothing of the machine's is changed.
# Exits with 4 where no Debian archive can be had.
. "$(dirname "$0")/lib.sh"
. scripts/archive.sh

readonly LINUX=$GUESTS/linux
readonly RECIPE=guests/linux

fetch() {
    mkdir -p "$LINUX"
    open_archive
    # linux-image-ARCH is an empty package that depends on the kernel of the day.
    local kernel
    kernel=$(private apt-cache depends "linux-image-$DEB_ARCH" 2>/dev/null |
        sed -n '/Depends: /{s/.*Depends: //p;q}') || true
    [ -n "$kernel" ] || no_archive "its lists name no linux-image-$DEB_ARCH"
    local size; size=$(private apt-cache show "$kernel" | sed -n '/^Size: /{s///p;q}')
    say "fetching $kernel ($((size / 1000000)) MB)"
    # vmlinux is a plain image by name; what arm64 calls vmlinuz is one too.
    unpack "$kernel" 'boot/vmlinu[xz]-*' "$LINUX/Image"
    say "fetching busybox-static"
    # In /bin, or with Debian 13 in /usr/bin.
    unpack busybox-static '*bin/busybox' "$LINUX/busybox"
    echo "$kernel" >"$LINUX/VERSION"
}

# The same bytes each time: fixed times, modes, owners, order.
initramfs() {
    local root=$LINUX/root
    umask 022
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,etc,proc,root,sys,tmp}
    cp "$LINUX/busybox" "$root/bin/busybox"
    ln -s bin/busybox "$root/init"
    cp "$RECIPE"/{inittab,profile,rc,shell} "$root/etc/"
    chmod 0755 "$root"/{bin/busybox,etc/rc,etc/shell}
    find "$root" -exec touch -h -d @0 {} +
    (cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc --quiet --reproducible -R 0:0) |
        gzip -9n >"$LINUX/initramfs.part"
    mv "$LINUX/initramfs.part" "$LINUX/initramfs.cpio.gz"
    rm -rf "$root"
}

[ -e "$LINUX/Image" ] && [ -e "$LINUX/busybox" ] && [ -e "$LINUX/VERSION" ] || fetch
if stale "$LINUX/initramfs.cpio.gz" "$LINUX/busybox" "$RECIPE"/* scripts/linux.sh; then
    say "making the initramfs"
    initramfs
fi
