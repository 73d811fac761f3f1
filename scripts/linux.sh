#!/usr/bin/env bash
# Makes the Linux guest: Debian's stock kernel and static busybox, from the Debian archive, as
# build/guests/ARCH/linux/{Image,initramfs.cpio.gz}. apt works in a state of its own below build/:
# the machine's own sources are read, and nothing of the machine's is changed.
# Exits with 4 where no Debian archive can be had.
. "$(dirname "$0")/lib.sh"

readonly LINUX=$GUESTS/linux
readonly STATE=$PWD/build/debian/$ARCH
readonly DEB_ARCH=arm64
readonly RECIPE=guests/linux

# apt-get and apt-cache, for DEB_ARCH, in a state of their own.
private() {
    local tool=$1; shift
    "$tool" -o APT::Architecture="$DEB_ARCH" -o APT::Architectures="$DEB_ARCH" \
        -o Dir::State="$STATE/state" -o Dir::State::status="$STATE/status" \
        -o Dir::Cache="$STATE/cache" -o APT::Sandbox::User=root -o Acquire::Retries=3 \
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
        -o Acquire::IndexTargets::deb::CNF::DefaultEnabled=false \
        "${sources[@]}" "$@"
}

# Is the machine itself a Debian, whose sources name an archive that has DEB_ARCH?
own_sources() { (. /etc/os-release && [ "${ID:-}" = debian ]) 2>/dev/null; }

# On other distributions debootstrap knows where Debian's archive is, and its keyring package holds
# the keys. Both are taken apart below build/, not installed.
foreign_sources() {
    local tools=$STATE/tools mirror=${DEBIAN_MIRROR:-} key
    mkdir -p "$tools"
    (cd "$tools" && apt-get download debian-archive-keyring &&
        { [ -n "$mirror" ] || apt-get download debootstrap; }) || return 1
    local deb
    for deb in "$tools"/*.deb; do dpkg-deb -x "$deb" "$tools/x"; done
    [ -n "$mirror" ] ||
        mirror=$(sed -n 's/^DEF_MIRROR="\(.*\)"/\1/p' "$tools/x/usr/sbin/debootstrap")
    key=$tools/x/usr/share/keyrings/debian-archive-keyring.gpg
    [ -n "$mirror" ] && [ -e "$key" ] || return 1
    echo "deb [signed-by=$key] $mirror ${DEBIAN_SUITE:-stable} main" >"$STATE/sources.list"
    sources=(-o Dir::Etc::sourcelist="$STATE/sources.list" -o Dir::Etc::sourceparts=/dev/null)
}

no_archive() { die 4 "no Debian archive can be had here: $*"; }

# Downloads PACKAGE and puts the file PATTERN of it at TARGET.
unpack() {
    local package=$1 pattern=$2 target=$3 deb
    (cd "$STATE/debs" && private apt-get download "$package") >&2 ||
        no_archive "the download of $package failed"
    deb=$(ls -t "$STATE/debs/${package}"_*.deb | head -n 1)
    rm -rf "$STATE/x" && mkdir -p "$STATE/x"
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$STATE/x" --wildcards "./$pattern"
    # shellcheck disable=SC2086
    mv "$STATE/x"/$pattern "$target.part"
    touch "$target.part"
    mv "$target.part" "$target"
    rm -rf "$STATE/x" "$deb"
}

fetch() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || no_archive "apt isn't here"
    mkdir -p "$STATE"/state/lists/partial "$STATE"/cache/archives/partial "$STATE/debs" "$LINUX"
    : >"$STATE/status"
    sources=()
    if [ -n "${DEBIAN_MIRROR:-}" ] || ! own_sources; then
        foreign_sources || no_archive "no keyring or no mirror; DEBIAN_MIRROR= can name one"
    fi
    say "reading the Debian archive's lists"
    private apt-get update >&2 || true
    # linux-image-arm64 is an empty package that depends on the kernel of the day.
    local kernel
    kernel=$(private apt-cache depends "linux-image-$DEB_ARCH" 2>/dev/null |
        sed -n 's/.*Depends: //p' | head -n 1)
    [ -n "$kernel" ] || no_archive "its lists name no linux-image-$DEB_ARCH"
    say "fetching $kernel (some 60 MB)"
    unpack "$kernel" 'boot/vmlinuz-*' "$LINUX/Image"
    say "fetching busybox-static"
    unpack busybox-static 'bin/busybox' "$LINUX/busybox"
    echo "$kernel" >"$LINUX/VERSION"
}

# The same bytes each time: fixed times, owners, order.
initramfs() {
    local root=$LINUX/root
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
