// The arm64 Image header (Documentation/arch/arm64/booting), the way into Rust, and exception
// vectors that do no more than a measurement needs. Everything runs at EL1 with SP_EL1.

    .section .head, "ax"
    .global _head
_head:
    b       _start
    .long   0
    .quad   0x80000                     // text_offset
    .quad   __image_size
    .quad   0xa                         // little endian, 4 KiB pages, anywhere in RAM
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

    .text
// First CPU: x0 is the device tree.
_start:
    isb
    mrs     x20, cntvct_el0             // the guest's clock at its first instruction
    mrs     x21, cntpct_el0
    mov     x19, x0
    adrp    x1, __bss_start
    add     x1, x1, :lo12:__bss_start
    adrp    x2, __bss_end
    add     x2, x2, :lo12:__bss_end
1:  cmp     x1, x2
    b.hs    2f
    str     xzr, [x1], #8
    b       1b
2:  mov     x0, #0
    bl      setup_cpu
    mov     x0, x19
    mov     x1, x20
    mov     x2, x21
    bl      bench_first_cpu
    b       .

// Another CPU, by CPU_ON: x0 is its number.
    .global bench_secondary_entry
bench_secondary_entry:
    mov     x19, x0
    bl      setup_cpu
    mov     x0, x19
    bl      bench_other_cpu
    b       .

// Stack, vectors, per-CPU pointer and identity map of CPU number x0.
setup_cpu:
    adrp    x1, bench_stacks
    add     x1, x1, :lo12:bench_stacks
    add     x2, x0, #1
    add     x1, x1, x2, lsl #15         // STACK_SIZE
    msr     spsel, #1
    mov     sp, x1
    adrp    x1, bench_cpus
    add     x1, x1, :lo12:bench_cpus
    add     x1, x1, x0, lsl #7          // size of Cpu
    msr     tpidr_el1, x1
    adrp    x1, bench_vectors
    add     x1, x1, :lo12:bench_vectors
    msr     vbar_el1, x1
    mov     x1, #0x04ff                 // attribute 0: Normal write-back, 1: Device-nGnRE
    msr     mair_el1, x1
    ldr     x1, =0x200803519            // 39 bits by TTBR0, 4 KiB, inner shareable, 40-bit PA
    msr     tcr_el1, x1
    adrp    x1, bench_map
    add     x1, x1, :lo12:bench_map
    msr     ttbr0_el1, x1
    mov     x1, #(3 << 20)              // FP and SIMD
    msr     cpacr_el1, x1
    isb
    tlbi    vmalle1
    dsb     nsh
    isb
    mrs     x1, sctlr_el1
    mov     x2, #0x1005                 // M, C, I
    orr     x1, x1, x2
    bic     x1, x1, #2                  // no alignment check
    msr     sctlr_el1, x1
    isb
    ret
    .ltorg

// Cpu (measure.rs): 0 irq_time, 8 irq_done, 16 irqs, 24 intid, 32 fault_time, 40 faults, 48 esr,
// 56 quiet_address, 64 quiet_value.

// A fault: when it was taken, how many; on behind the instruction.
    .balign 128
on_fault:
    stp     x0, x1, [sp, #-16]!
    mrs     x0, cntvct_el0
    mrs     x1, tpidr_el1
    str     x0, [x1, #32]
    mrs     x0, esr_el1
    str     x0, [x1, #48]
    ldr     x0, [x1, #40]
    add     x0, x0, #1
    str     x0, [x1, #40]
    mrs     x0, elr_el1
    add     x0, x0, #4
    msr     elr_el1, x0
    ldp     x0, x1, [sp], #16
    eret

// An interrupt: when it was taken and when it was ended, which, how many. Timers are stopped, and
// a device is quietened by one write.
    .balign 128
on_irq:
    stp     x0, x1, [sp, #-32]!
    stp     x2, x3, [sp, #16]
    mrs     x0, cntvct_el0
    mrs     x1, tpidr_el1
    mrs     x2, icc_iar1_el1
    str     x0, [x1]
    str     x2, [x1, #24]
    cmp     w2, #27
    b.eq    1f
    cmp     w2, #30
    b.eq    2f
    cmp     w2, #32
    b.hs    3f
4:  msr     icc_eoir1_el1, x2
    isb
    mrs     x0, cntvct_el0
    str     x0, [x1, #8]
    ldr     x0, [x1, #16]
    add     x0, x0, #1
    dmb     ishst
    str     x0, [x1, #16]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp], #32
    eret
1:  msr     cntv_ctl_el0, xzr
    isb
    b       4b
2:  msr     cntp_ctl_el0, xzr
    isb
    b       4b
3:  cmp     w2, #1020
    b.hs    5f
    ldp     x0, x3, [x1, #56]
    cbz     x0, 4b
    str     w3, [x0]
    dsb     sy
    b       4b
5:  ldp     x2, x3, [sp, #16]           // spurious: nothing was acknowledged
    ldp     x0, x1, [sp], #32
    eret

    .macro  broken number
    .balign 128
    mov     x0, #\number
    b       bench_broken
    .endm

    .balign 2048
bench_vectors:
    broken 0
    broken 1
    broken 2
    broken 3
    .balign 128
    b       on_fault
    .balign 128
    b       on_irq
    broken 6
    broken 7
    broken 8
    broken 9
    broken 10
    broken 11
    broken 12
    broken 13
    broken 14
    broken 15
