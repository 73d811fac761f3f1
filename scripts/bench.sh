#!/usr/bin/env bash
# What the hypervisor's operations cost, in instructions that QEMU counts.
# usage: bench.sh run|peers|paths
#   run     beside the bare machine, and compared with benches/reference; UPDATE=1 makes it that
#   peers   beside Xen and KVM from the Debian archive; on riscv64 KVM only
#   paths   which instructions the exit paths execute
# Exits with 4 where no Debian archive can be had, and 1 where something got worse.
. "$(dirname "$0")/lib.sh"
what=${1:-run}
export ARCH QEMU
readonly OUT_DIR=build/bench
readonly LINUX=$GUESTS/linux
mkdir -p "$OUT_DIR"

# Packs the directory $1 as an initramfs, the same bytes each time.
pack() {
    find "$1" -exec touch -h -d @0 {} +
    (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc --quiet --reproducible -R 0:0)
}

# An initramfs that says when user space is reached, by Linux's clock and the machine's counter.
user_space() {
    local root=$OUT_DIR/up
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev}
    cp "$LINUX/busybox" "$root/bin/busybox"
    cp "$GUESTS/count.elf" "$root/bin/count"
    cp benches/linux/init "$root/init"
    chmod 0755 "$root"/{init,bin/busybox,bin/count}
    pack "$root" | gzip -9n >"$root.cpio.gz"
    rm -rf "$root"
}

# The libraries that an ELF file names.
needed() { llvm llvm-readobj --needed-libs "$1" | sed -n '/NeededLibraries/,/]/s/^ *\(.*\.so.*\)$/\1/p'; }

# The initramfs of a host that runs KVM: busybox, QEMU, its libraries, and the guests.
kvm_host() {
    local root=$OUT_DIR/kvm qemu=build/peers/$ARCH/qemu
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,guests,lib,proc,sys,tmp,usr/bin}
    cp "$LINUX/busybox" "$root/bin/busybox"
    cp "$qemu/usr/bin/qemu-system-aarch64" "$root/usr/bin/"
    local todo=("$root/usr/bin/qemu-system-aarch64") file name from
    while [ ${#todo[@]} -gt 0 ]; do
        file=${todo[0]}; todo=("${todo[@]:1}")
        for name in $(needed "$file") ld-linux-aarch64.so.1; do
            [ -e "$root/lib/$name" ] && continue
            from=$(find "$qemu/lib" "$qemu/usr/lib" -name "$name" | head -n 1)
            [ -n "$from" ] || die 1 "no $name in Debian's packages"
            cp -L "$from" "$root/lib/$name"
            todo+=("$root/lib/$name")
        done
    done
    cp "$GUESTS/bench.bin" "$LINUX/Image" "$OUT_DIR/up.cpio.gz" "$root/guests/"
    cp benches/linux/kvm-host "$root/init"
    chmod 0755 "$root"/{init,bin/busybox}
    pack "$root" >"$root.cpio"
    rm -rf "$root"
}

# The initramfs of a riscv64 host that runs KVM: busybox, KVM's module, and the bench guest with our
# program that runs it.
small_kvm_host() {
    local root=$OUT_DIR/kvm arguments
    cargo build --release --locked --quiet --package guest-bench --features kvmhost \
        --bin guest-kvmhost --target "$TRIPLE"
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,guests,lib,proc,sys,tmp}
    cp "$LINUX/busybox" "$TARGET_DIR/$TRIPLE/release/guest-kvmhost" "$root/bin/"
    cp "$GUESTS/bench.bin" "$root/guests/"
    for arguments in bench switch; do
        sed "s/BOOTARGS/$arguments/" benches/linux/kvm-guest.dts |
            dtc -q -I dts -O dtb -o "$root/guests/$arguments.dtb"
    done
    cargo run --locked --quiet --package axhv-bench -- \
        module "build/peers/$ARCH/kvm.ko" "$root/lib/kvm.ko"
    cp benches/linux/kvm-host-riscv64 "$root/init"
    chmod 0755 "$root"/{init,bin/busybox,bin/guest-kvmhost}
    pack "$root" >"$root.cpio"
    rm -rf "$root"
}

VMS='' scripts/image.sh "$BUILD/bare"
scripts/guests.sh
scripts/linux.sh
user_space
if [ "$what" = peers ]; then
    scripts/peers.sh
    case $ARCH in riscv64) small_kvm_host ;; *) kvm_host ;; esac
fi
say "measuring"
args=("$what")
[ "${UPDATE:-}" != 1 ] || args+=(--update)
cargo run --locked --quiet --package axhv-bench -- "${args[@]}"
