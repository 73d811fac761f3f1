// From the loader's jump to Rust, for the first hart and for those that SBI starts.
//
// Entered as Linux's Documentation/arch/riscv/boot.rst says: supervisor mode, satp = 0, a0 = hart
// id, a1 = physical address of the device tree, the other harts stopped (SBI HSM). Nothing below
// assumes where the image lies, beyond 4 KiB alignment: all is PC-relative until translation is on.
//
// Register use until Rust: s1 hart id, s2 device tree, s3 image, s4 regime (0: HS-mode; 1: there is
// no hypervisor extension), s5 root table, s6 where to go on with translation on, s7 this hart's
// PerCpu.

    .option norelax

    .section .head, "ax"
    .global _start
_start:
    .option push
    .option norvc
    j       primary                     // code0
    .option pop
    .org    _start + 4
    .word   0                           // code1
    .dword  0x200000                    // text_offset
    .dword  __image_size                // with .bss: nobody may put anything there
    .dword  0                           // flags: little-endian
    .word   2                           // version 0.2
    .word   0
    .dword  0
    .ascii  "RISCV\0\0\0"
    .ascii  "RSC\x05"
    .word   0

    .section .text.boot, "ax"
    .balign 8
bss_shift:
    .dword  __bss_shift
primary_linked:
    .dword  primary_mapped
secondary_linked:
    .dword  secondary_mapped

primary:
    mv      s1, a0
    mv      s2, a1
    lla     s3, _start
    jal     init_hs

    // .bss lies at another distance from the code than the linked one.
    ld      s8, bss_shift
    lla     t0, lottery
    li      t1, 1
    .option push
    .option arch, +a
    amoswap.w.aqrl t1, t1, (t0)
    .option pop
    bnez    t1, astray

    // The tables lie in .bss.
    lla     s5, {tables}
    add     s5, s5, s8
    li      t0, {tables_size}
    add     t0, t0, s5
    mv      t1, s5
1:  sd      zero, 0(t1)
    addi    t1, t1, 8
    bltu    t1, t0, 1b

    // Level 1 -> 2 -> four tables of level 3: 8 MiB, in pages, at the linked address.
    li      t2, 0x1000
    add     t0, s5, t2                  // level 2
    srli    t1, t0, 2
    ori     t1, t1, {valid}
    li      t3, {root_index} * 8
    add     t3, t3, s5
    sd      t1, 0(t3)
    add     s9, t0, t2                  // the first of level 3
    srli    t1, s9, 2
    ori     t1, t1, {valid}
    li      t3, {l3_tables}
1:  sd      t1, 0(t0)
    addi    t0, t0, 8
    addi    t1, t1, 0x1000 >> 2
    addi    t3, t3, -1
    bnez    t3, 1b

    .macro  map from, to, attributes, shift
    lla     a0, \from
    lla     a1, \to
    li      a2, \attributes
    mv      a3, \shift
    jal     map_pages
    .endm
    map     __text_start, __text_end, {attr_code}, zero
    map     __text_end, __rodata_end, {attr_rodata}, zero
    map     __rodata_end, __data_end, {attr_data}, zero
    map     __bss_start, __bss_end, {attr_data}, s8

    ld      s6, primary_linked
    j       enable_mmu

    .balign 4
primary_mapped:
    lla     sp, __boot_stack_top
    lla     t0, __zero_start
    lla     t1, __bss_end
1:  sd      zero, 0(t0)
    sd      zero, 8(t0)
    addi    t0, t0, 16
    bltu    t0, t1, 1b
    lla     tp, {percpu}
    lla     t0, __emergency_stack_top
    sd      t0, {percpu_emergency}(tp)
    lla     t0, axhal_trap_vector
    csrw    stvec, t0
    csrw    sscratch, zero
    li      s0, 0                       // the end of every backtrace
    li      ra, 0
    mv      a0, s2
    mv      a1, s3
    mv      a2, s4
    mv      a3, s1
    tail    {primary_entry}

    // A hart that was started at `axhal_secondary_start` and came here: firmware that marks it as
    // started before it notes the address (OpenSBI 1.1) may let it go with the boot hart's. Whoever
    // started it has prepared its PerCpu, the one with its id and a stack.
astray:
    lla     s7, {percpu}
    add     s7, s7, s8
    li      t0, {cpus}
1:  ld      t1, {percpu_id}(s7)
    ld      t2, {percpu_stack}(s7)
    beqz    t2, 2f
    beq     t1, s1, secondary
2:  addi    s7, s7, {percpu_size}
    addi    t0, t0, -1
    bnez    t0, 1b
    j       park

    .pushsection .data
    .balign 4
lottery:
    .word   0
    .popsection

    // A hart started by SBI HSM: a0 = hart id, a1 = physical address of its PerCpu.
    .balign 4
    .global axhal_secondary_start
axhal_secondary_start:
    mv      s7, a1
    jal     init_hs
secondary:
    bnez    s4, park
    ld      s5, {percpu_root}(s7)
    ld      s8, {percpu_stack}(s7)
    ld      s7, {percpu_self}(s7)
    ld      s6, secondary_linked
    j       enable_mmu

    .balign 4
secondary_mapped:
    mv      sp, s8
    mv      tp, s7
    lla     t0, axhal_trap_vector
    csrw    stvec, t0
    csrw    sscratch, zero
    li      s0, 0
    li      ra, 0
    tail    {secondary_entry}

    .balign 4
park:
    wfi
    j       park

// Maps the pages from a0 up to a1 (addresses as PC-relative code sees them) with the attributes
// a2, at the linked address, to what lies a3 bytes further. Clobbers a0, t0 to t2.
map_pages:
    sub     t0, a0, s3
    srli    t0, t0, 12
    slli    t0, t0, 3
    add     t0, t0, s9
    li      t2, 0x1000
1:  bgeu    a0, a1, 2f
    add     t1, a0, a3
    srli    t1, t1, 2
    or      t1, t1, a2
    sd      t1, 0(t0)
    addi    t0, t0, 8
    add     a0, a0, t2
    j       1b
2:  ret

// The regime in s4, and every supervisor register that matters to a known value, without
// translation. Clobbers t0.
init_hs:
    csrw    sie, zero
    li      t0, {sstatus_clear}
    csrc    sstatus, t0
    li      s4, 1
    lla     t0, 1f                      // without the extension these registers are illegal
    csrw    stvec, t0
    csrw    0x680, zero                 // hgatp
    csrw    0x602, zero                 // hedeleg
    csrw    0x603, zero                 // hideleg
    csrw    0x604, zero                 // hie
    csrw    0x645, zero                 // hvip
    li      t0, {hstatus_host}
    csrw    0x600, t0                   // hstatus
    li      s4, 0
    .balign 4
1:  lla     t0, park
    csrw    stvec, t0
    csrw    satp, zero
    ret

// Switches to the tables at s5 and goes on at s6. The fetch that follows is translated and faults,
// as the image is not mapped where it lies but where it is linked: the exception brings the hart to
// stvec. So no identity mapping is ever needed.
enable_mmu:
    csrw    stvec, s6
    srli    t0, s5, 12
    li      t1, {satp_sv39}
    or      t0, t0, t1
    sfence.vma
    csrw    satp, t0
    sfence.vma
    j       park                        // never reached
