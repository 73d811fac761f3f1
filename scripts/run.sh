#!/usr/bin/env bash
# Boots the hypervisor with the VMs of VMS in QEMU and returns the status of its final line.
#
# The terminal is the console: Ctrl-C goes to the guest, Ctrl-A x ends QEMU. From a pipe all bytes
# go to the guest, and the end of input leaves it running.
. "$(dirname "$0")/lib.sh"
read -r -a vms <<<"${VMS:-}"
dir=$BUILD/run
mkdir -p "$dir"
# Runs at the same time don't write the same bundle and log: only the first has this folder.
exec 9>"$dir/lock"
if ! flock --nonblock 9; then
    dir=$BUILD/run-$$
    mkdir -p "$dir"
fi

if wants_linux "${vms[@]}"; then
    status=0
    scripts/linux.sh || status=$?
    if [ "$status" = 4 ]; then
        vms=("configs/vms/$ARCH/hello.toml")
        say "so the guest built from source runs instead: ${vms[*]}"
    elif [ "$status" != 0 ]; then
        exit "$status"
    fi
fi
VMS='' scripts/image.sh "$BUILD/bare"
VMS="${vms[*]}" OUT=$dir/bundle.cpio scripts/bundle.sh

log=$dir/console.log
rm -f "$log"
# `-nodefaults` keeps away devices nobody asked for, and the option ROMs they would need.
console=stdio,id=console,signal=off,logfile=$log
if [ -t 0 ]; then
    saved=$(stty -g)
    trap 'stty "$saved"' EXIT
    monitor=(-chardev "$console,mux=on" -mon console,mode=readline)
    say "starting QEMU (Ctrl-A x ends it)"
else
    monitor=(-chardev "$console")
    say "starting QEMU"
fi
# shellcheck disable=SC2086
"$QEMU" -M "$MACHINE" -cpu "$CPU" -smp "$CPUS" -m "$MEM" -nodefaults -display none \
    "${monitor[@]}" -serial chardev:console -no-reboot \
    -kernel "$BUILD/bare/axhv.bin" -initrd "$dir/bundle.cpio" -append "${APPEND:-}" \
    ${QEMU_ARGS:-} || die 5 "QEMU ended with status $?"

scripts/symbolize.sh "$BUILD/bare/axhv.elf" "$log"

# QEMU returns 0 however the machine was switched off: the hypervisor's last line tells.
status=$(tr -d '\r' <"$log" | sed -n '$s/^axhv: status \([0-9][0-9]*\)$/\1/p')
[ -n "$status" ] || die 5 "the hypervisor ended without its final line; the console is in $log"
exit "$status"
