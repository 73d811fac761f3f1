# Sourced: packages of another architecture from the Debian archive, by an apt whose state lies below
# build/. The machine's own sources are read, and nothing of the machine's is changed.
# shellcheck shell=bash

readonly STATE=$PWD/build/debian/$ARCH
readonly DEB_ARCH=arm64
sources=()

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
    (cd "$tools" && apt-get -o APT::Sandbox::User=root download debian-archive-keyring &&
        { [ -n "$mirror" ] || apt-get -o APT::Sandbox::User=root download debootstrap; }) >&2 ||
        return 1
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

# Downloads PACKAGE and puts the one file of it that PATTERN matches at TARGET.
unpack() {
    local package=$1 pattern=$2 target=$3 deb
    (cd "$STATE/debs" && private apt-get download "$package") >&2 ||
        no_archive "the download of $package failed"
    deb=$(ls -t "$STATE/debs/${package}"_*.deb | head -n 1)
    rm -rf "$STATE/x" && mkdir -p "$STATE/x" "$(dirname "$target")"
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$STATE/x" --wildcards "./$pattern"
    mv "$(find "$STATE/x" -type f -print -quit)" "$target.part"
    touch "$target.part"
    mv "$target.part" "$target"
    rm -rf "$STATE/x" "$deb"
}

# Gets the archive's lists; everything else needs that done.
open_archive() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || no_archive "apt isn't here"
    mkdir -p "$STATE"/state/lists/partial "$STATE"/cache/archives/partial "$STATE/debs"
    : >"$STATE/status"
    if [ -n "${DEBIAN_MIRROR:-}" ] || ! own_sources; then
        foreign_sources || no_archive "no keyring or no mirror; DEBIAN_MIRROR= can name one"
    fi
    say "reading the Debian archive's lists"
    private apt-get update >&2 || true
}
