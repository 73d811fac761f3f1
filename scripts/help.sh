#!/usr/bin/env bash
# What `make` can do, and what it can be told.
set -euo pipefail
cat <<'TEXT'
axhv, a type-1 hypervisor

  make ARCH=aarch64 run      boot the hypervisor with its guests in QEMU
  make ARCH=riscv64 run      the same on the other architecture
  make test                  run all tests, on the host and in QEMU

Other targets
  image      build build/ARCH/axhv.elf and axhv.bin with the VMs of VMS embedded (VMS= none)
  bundle     write the VMs of VMS, with the images they name, to OUT: a ramdisk for the hypervisor
  guests     build the bare-metal guests of guests/ into build/guests/ARCH
  linux      fetch Debian's kernel and busybox, make the initramfs in build/guests/ARCH/linux
  test-host  the tests that need no QEMU            test-qemu  the ones that do
  fuzz       fuzz what reads descriptions, bundles, kernels and trees, each for SECONDS=60
  check      formatting and lints; with VMS= those VM descriptions, files or folders, against
             BOARD= (one under configs/boards, or a device tree) if that is given
  fmt        format the sources                     clippy     the lints alone
  bench      what operations cost, in instructions, beside the bare machine and the reference
  bench-peers   the same under Xen and KVM (riscv64: KVM)
  bench-paths   the instructions of exit paths
  size       image size by crate                    loc        lines of code in the image
  setup      install what is missing                clean      remove build/ and target/

Variables (with their defaults)
  ARCH=aarch64               the machine's architecture, or riscv64. Unless it is set, test,
                             test-qemu, check and clippy go over both, and all else takes aarch64
  VMS=configs/vms/ARCH/linux.toml   the VM descriptions to run or to pack, separated by spaces
  CPUS=2 MEM=2G              the machine QEMU emulates
  CPU=cortex-a72 GIC=3       the CPU model and the GIC's version; for riscv64 CPU=rv64, and no GIC=
  BOARD=                     `make check VMS=...`: the board to check against
  SECONDS=60                 `make fuzz`: how long for each reader
  APPEND=                    options of the hypervisor: loglevel=, console=, when-idle=
  QEMU_ARGS=                 more arguments for QEMU      QEMU=qemu-system-ARCH
  OUT=build/ARCH/bundle.cpio where `make bundle` writes
  UPDATE=1                   `make bench` writes the reference
  DEBIAN_MIRROR= DEBIAN_SUITE=   the Debian archive to fetch from (default: this machine's own)

In `make run`, Ctrl-C goes to the guest; Ctrl-A x ends QEMU, Ctrl-A h shows more.
TEXT
