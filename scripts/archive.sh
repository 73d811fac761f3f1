# Sourced: packages of another architecture from the Debian archive, by an apt whose state lies below
# build/. The machine's own sources are read, and nothing of the machine's is changed.
# shellcheck shell=bash

STATE=$PWD/build/debian/$ARCH
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

# Is the machine itself a Debian, whose sources name an archive?
own_sources() { (. /etc/os-release && [ "${ID:-}" = debian ]) 2>/dev/null; }

# Is the machine's release older than the first one with DEB_ARCH? Those to come have no number.
too_old() {
    [ ${#DEB_SINCE[@]} -gt 0 ] &&
        (. /etc/os-release && [ "${VERSION_ID:-${DEB_SINCE[0]}}" -lt "${DEB_SINCE[0]}" ])
}

# The archive that the machine's own release comes from.
own_mirror() {
    local codename; codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        sed -nE "/^($codename|(old)*stable) main /{s/.* //p;q}"
}

# A newer release from the archive that the machine's own sources name. The machine's keyring
# package knows the new release's keys; one that is older than them has an update in the machine's
# release, which the keys of old vouch for. That is taken apart below build/, not installed.
newer_release() {
    local mirror suite=${DEBIAN_SUITE:-${DEB_SINCE[1]}} keys=/usr/share/keyrings
    mirror=$(own_mirror)
    [ -n "$mirror" ] || return 1
    if [ ! -e "$keys/debian-archive-${DEB_SINCE[1]}-automatic.gpg" ]; then
        say "fetching the newest keyring of this machine's release"
        newest_keyring || return 1
        keys=$STATE/own/x/usr/share/keyrings
    fi
    echo "deb [signed-by=$keys/debian-archive-keyring.gpg] $mirror $suite main" >"$STATE/sources.list"
    sources=(-o Dir::Etc::sourcelist="$STATE/sources.list" -o Dir::Etc::sourceparts=/dev/null)
}

# With lists of its own for the machine's architecture: those of the machine may be old or absent.
newest_keyring() {
    local DEB_ARCH STATE=$STATE/own
    DEB_ARCH=$(dpkg --print-architecture)
    new_state
    private apt-get update >&2
    (cd "$STATE/debs" && private apt-get download debian-archive-keyring) >&2 || return 1
    dpkg-deb -x "$STATE"/debs/debian-archive-keyring_*.deb "$STATE/x"
}

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

new_state() {
    mkdir -p "$STATE"/state/lists/partial "$STATE"/cache/archives/partial "$STATE/debs"
    : >"$STATE/status"
}

# Gets the archive's lists; everything else needs that done.
open_archive() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || no_archive "apt isn't here"
    new_state
    if [ -n "${DEBIAN_MIRROR:-}" ] || ! own_sources; then
        foreign_sources || no_archive "no keyring or no mirror; DEBIAN_MIRROR= can name one"
    elif too_old; then
        newer_release || no_archive "no keyring or no mirror; DEBIAN_MIRROR= can name one"
    fi
    say "reading the Debian archive's lists"
    private apt-get update >&2 || true
}
