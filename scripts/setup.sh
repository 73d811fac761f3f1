#!/usr/bin/env bash
# Installs what the other targets need and this machine lacks: parts of the pinned Rust toolchain,
# and QEMU for ARCH, dtc, cpio, a linker and U-Boot as the distribution has them. Everything is
# looked at where it lies, so a machine that has everything takes no time and no network.
. "$(dirname "$0")/lib.sh"

readonly QEMU_MIN=7.2

# The list that stands behind KEY in rust-toolchain.toml, as words.
toolchain_list() { sed -n "s/^$1 *= *//p" rust-toolchain.toml | tr -d '[]",' ; }

rust_parts_missing() {
    local root part
    root=$(sysroot) || return 0
    for part in $(toolchain_list targets); do
        [ -d "$root/lib/rustlib/$part/lib" ] || return 0
    done
    for part in $(toolchain_list components); do
        case $part in
            clippy) [ -x "$root/bin/cargo-clippy" ] || return 0 ;;
            rustfmt) [ -x "$root/bin/rustfmt" ] || return 0 ;;
            llvm-tools) compgen -G "$root/lib/rustlib/*/bin/llvm-objcopy" >/dev/null || return 0 ;;
            *) return 0 ;;
        esac
    done
    return 1
}

setup_rust() {
    command -v rustup >/dev/null && command -v cargo >/dev/null ||
        die 3 "rustup isn't installed: it brings the Rust compiler; see rustup.rs, then start again"
    rust_parts_missing || return 0
    local channel; channel=$(toolchain_list channel)
    local args=(--profile minimal --no-self-update)
    local part
    for part in $(toolchain_list components); do args+=(--component "$part"); done
    for part in $(toolchain_list targets); do args+=(--target "$part"); done
    say "installing Rust $channel with $(toolchain_list components) for $(toolchain_list targets)"
    rustup toolchain install "$channel" "${args[@]}" ||
        die 3 "rustup could not install Rust $channel"
}

# The distribution's packages for what is missing.
missing_packages() {
    command -v cc >/dev/null || echo gcc libc6-dev
    command -v "$QEMU" >/dev/null && [ -e "${FIRMWARE:-/}" ] || echo "${QEMU_PACKAGES[@]}"
    command -v dtc >/dev/null || echo device-tree-compiler
    command -v cpio >/dev/null || echo cpio
    [ -e "$UBOOT" ] || echo u-boot-qemu
}

# apt-get by root, or by sudo if it may ask or needs no password. Fails if neither is there.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then sudo "$@"
    else return 1
    fi
}

setup_packages() {
    local packages; packages=$(missing_packages | tr '\n' ' ')
    [ -n "$packages" ] || return 0
    local install="apt-get install -y --no-install-recommends $packages"
    command -v apt-get >/dev/null ||
        die 3 "please install what Debian calls: $packages"
    as_root true || die 3 "neither root nor sudo here; please run as root, then start again:  $install"
    say "installing $packages"
    export DEBIAN_FRONTEND=noninteractive
    # The lists may be absent or older than the archive: then fetch them, once.
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive $install ||
        { say "fetching the distribution's package lists" && as_root apt-get update &&
          as_root env DEBIAN_FRONTEND=noninteractive $install; } ||
        die 3 "could not install; by hand:  $install"
}

check_qemu() {
    local version
    version=$("$QEMU" --version | sed -n '1s/.*version \([0-9]*\.[0-9]*\).*/\1/p')
    [ "$(printf '%s\n' "$QEMU_MIN" "$version" | sort -V | head -n 1)" = "$QEMU_MIN" ] ||
        die 3 "$QEMU is version $version: $QEMU_MIN or newer is needed"
}

setup_packages
setup_rust
check_qemu
