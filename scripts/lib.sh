# Sourced by the other scripts: where things are, and how to say what happens.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What checks, tests and CI go over when ARCH names none; tests/src/arch.rs has the same list.
readonly ARCHES=(aarch64 riscv64)

# What the caller asked for, before there is a default.
readonly ASKED=${ARCH:-}
ARCH=${ARCH:-aarch64}
BUILD=build/$ARCH
GUESTS=build/guests/$ARCH
TARGET_DIR=${CARGO_TARGET_DIR:-target}
QEMU=${QEMU:-qemu-system-$ARCH}
export RUSTUP_AUTO_INSTALL=0

say() { printf '%s\n' "axhv: $*" >&2; }
die() { local status=$1; shift; say "$*"; exit "$status"; }

# What differs between architectures: the compiler's target, QEMU's machine and the distribution's
# packages for it, and Debian's name of the architecture with the first release that has it.
case $ARCH in
aarch64)
    TRIPLE=aarch64-unknown-none-softfloat
    CPU=${CPU:-cortex-a72} GIC=${GIC:-3}
    [ "$GIC" = 3 ] || die 2 "GIC=$GIC isn't there yet: only GIC=3 is"
    MACHINE=virt,virtualization=on,gic-version=$GIC
    QEMU_PACKAGES=(qemu-system-arm) FIRMWARE=
    UBOOT=/usr/lib/u-boot/qemu_arm64/u-boot.bin
    DEB_ARCH=arm64 DEB_SINCE=() ;;
riscv64)
    TRIPLE=riscv64imac-unknown-none-elf
    CPU=${CPU:-rv64}
    [ -z "${GIC:-}" ] || die 2 "GIC=$GIC means nothing here: a riscv64 machine has no GIC"
    MACHINE=virt
    # A name that qemu-system-misc provides, or in newer releases qemu-system-riscv.
    QEMU_PACKAGES=(qemu-system-riscv64 opensbi)
    FIRMWARE=/usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin
    UBOOT=/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin
    DEB_ARCH=riscv64 DEB_SINCE=(13 trixie) ;;
# One sentence for an architecture that isn't there yet.
*) die 2 "ARCH=$ARCH isn't there yet: aarch64 and riscv64 are." ;;
esac

# Runs a script of ours for the architecture asked for, or for all, one after the other.
for_each_arch() {
    local arch
    for arch in ${ASKED:-"${ARCHES[@]}"}; do
        ARCH=$arch QEMU=${QEMU/%$ARCH/$arch} CPU='' GIC='' "$@"
    done
}

# rustup puts its programs here; a shell started before rustup was installed doesn't know yet.
if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi

# The pinned toolchain's own directory; fails when it isn't installed.
sysroot() { rustc --print sysroot 2>/dev/null; }

# A program of the llvm-tools component.
llvm() {
    local tool=$1; shift
    local host; host=$(rustc -vV | sed -n 's/^host: //p')
    "$(sysroot)/lib/rustlib/$host/bin/$tool" "$@"
}

# True if FILE is missing or older than one of the other arguments.
stale() {
    local file=$1 dep; shift
    [ -e "$file" ] || return 0
    for dep in "$@"; do [ "$dep" -nt "$file" ] && return 0; done
    return 1
}

# The descriptions of VMS that name a Debian kernel.
wants_linux() {
    local f
    for f in "$@"; do
        grep -Eq "^[^#]*guests/$ARCH/linux/" "$f" && return 0
    done
    return 1
}

# The names of the packages in the directories given; those without a Cargo.toml are skipped.
package_names() {
    local dir
    for dir in "$@"; do
        [ -e "$dir/Cargo.toml" ] || continue
        sed -n 's/^name *= *"\(.*\)"/\1/p' "$dir/Cargo.toml" | head -n 1
    done
}

# Programs and libraries of the bare machine, which the host can't build or has no use for.
guest_packages() { package_names guests/*; }
bare_packages() { package_names . crates/axhal/selftest; guest_packages; }

# Each word that is read, behind the OPTION given.
behind() { sed "s/^/$1 /"; }

# Puts ELF into DIR as axhv.elf, and what of it boots as axhv.bin, unless they are there.
to_image() {
    mkdir -p "$2"
    cmp -s "$1" "$2/axhv.elf" && [ -e "$2/axhv.bin" ] && return 0
    # Renamed into place: another run may be reading them.
    llvm llvm-objcopy -O binary "$1" "$2/axhv.bin.$$"
    mv "$2/axhv.bin.$$" "$2/axhv.bin"
    cp "$1" "$2/axhv.elf.$$"
    mv "$2/axhv.elf.$$" "$2/axhv.elf"
}
