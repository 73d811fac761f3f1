// The RISC-V Image header (Linux, Documentation/arch/riscv/boot-image-header), the way into Rust of
// the first hart and of the others, and the trap handler. The guest runs in S-mode, or VS-mode.

    .section .head, "ax"
    .global _head
_head:
    .option push
    .option norvc
    j       _start
    nop
    .option pop
    .quad   0x200000                    // text_offset
    .quad   __image_size
    .quad   0                           // little endian
    .word   2                           // version 0.2
    .word   0
    .quad   0
    .ascii  "RISCV\0\0\0"
    .ascii  "RSC\x05"
    .word   0

    .text
// First hart: a0 is its id, a1 the device tree. The time at its first instruction is the third
// argument of guest_first_cpu.
_start:
    rdtime  s2
    csrw    sie, zero
    csrci   sstatus, 2
    mv      s0, a0
    mv      s1, a1
    la      t0, __bss_start
    la      t1, __bss_end
1:  bgeu    t0, t1, 2f
    sd      zero, 0(t0)
    addi    t0, t0, 8
    j       1b
2:  li      tp, 0
    call    setup_cpu
    mv      a0, s1
    mv      a1, s0
    mv      a2, s2
    call    guest_first_cpu
3:  j       3b

// Another hart, by HSM: a0 is its id, a1 its number as a CPU.
    .global guest_secondary_entry
guest_secondary_entry:
    csrr    s0, sstatus                 // as the hart was started
    csrr    s1, satp
    mv      s2, a0
    csrw    sie, zero
    csrci   sstatus, 2
    mv      tp, a1
    call    setup_cpu
    mv      a0, tp
    mv      a1, s0
    mv      a2, s1
    mv      a3, s2
    call    guest_other_cpu
1:  j       1b

// Stack, trap handler and identity map of CPU number tp. While this program's own code runs,
// sscratch is 0; while U-mode runs, it is the stack pointer.
setup_cpu:
    la      t0, guest_stacks
    addi    t1, tp, 1
    slli    t1, t1, 15                  // STACK_SIZE
    add     sp, t0, t1
    la      t0, guest_trap
    csrw    stvec, t0
    csrw    sscratch, zero
    li      t0, 0x2200                  // FS and VS Initial: test cases use FP and vectors
    csrs    sstatus, t0
    la      t0, guest_map
    srli    t0, t0, 12
    li      t1, 8                       // Sv39
    slli    t1, t1, 60
    or      t0, t0, t1
    sfence.vma
    csrw    satp, t0
    sfence.vma
    ret

// guest_enter_user(pc, argument): runs code in U-mode until it takes an exception; guest_exception
// then returns to guest_leave_user. What U-mode left in a0 is the result.
    .global guest_enter_user
guest_enter_user:
    addi    sp, sp, -112
    sd      ra, 0(sp)
    sd      s0, 8(sp)
    sd      s1, 16(sp)
    sd      s2, 24(sp)
    sd      s3, 32(sp)
    sd      s4, 40(sp)
    sd      s5, 48(sp)
    sd      s6, 56(sp)
    sd      s7, 64(sp)
    sd      s8, 72(sp)
    sd      s9, 80(sp)
    sd      s10, 88(sp)
    sd      s11, 96(sp)
    sd      tp, 104(sp)
    csrci   sstatus, 2
    csrw    sepc, a0
    li      t0, 0x100                   // SPP
    csrc    sstatus, t0
    li      t0, 0x20                    // SPIE
    csrs    sstatus, t0
    csrw    sscratch, sp
    mv      a0, a1
    sret
    .global guest_leave_user
guest_leave_user:
    ld      ra, 0(sp)
    ld      s0, 8(sp)
    ld      s1, 16(sp)
    ld      s2, 24(sp)
    ld      s3, 32(sp)
    ld      s4, 40(sp)
    ld      s5, 48(sp)
    ld      s6, 56(sp)
    ld      s7, 64(sp)
    ld      s8, 72(sp)
    ld      s9, 80(sp)
    ld      s10, 88(sp)
    ld      s11, 96(sp)
    addi    sp, sp, 112
    ret

    .macro  each_register operation
    \operation x1, 8(sp)
    \operation x3, 24(sp)
    \operation x6, 48(sp)
    \operation x7, 56(sp)
    \operation x8, 64(sp)
    \operation x9, 72(sp)
    \operation x10, 80(sp)
    \operation x11, 88(sp)
    \operation x12, 96(sp)
    \operation x13, 104(sp)
    \operation x14, 112(sp)
    \operation x15, 120(sp)
    \operation x16, 128(sp)
    \operation x17, 136(sp)
    \operation x18, 144(sp)
    \operation x19, 152(sp)
    \operation x20, 160(sp)
    \operation x21, 168(sp)
    \operation x22, 176(sp)
    \operation x23, 184(sp)
    \operation x24, 192(sp)
    \operation x25, 200(sp)
    \operation x26, 208(sp)
    \operation x27, 216(sp)
    \operation x28, 224(sp)
    \operation x29, 232(sp)
    \operation x30, 240(sp)
    \operation x31, 248(sp)
    .endm

// Saves the registers and where it came from (Frame in trap.rs), and calls guest_exception with
// the frame and scause.
    .balign 4
    .global guest_trap
guest_trap:
    csrrw   sp, sscratch, sp
    bnez    sp, 1f
    csrrw   sp, sscratch, sp            // from S-mode
    addi    sp, sp, -272
    sd      x5, 40(sp)
    addi    x5, sp, 272
    sd      x5, 16(sp)
    sd      x4, 32(sp)
    j       2f
1:  addi    sp, sp, -272                // from U-mode: behind what guest_enter_user saved
    sd      x5, 40(sp)
    csrrw   x5, sscratch, zero
    sd      x5, 16(sp)
    sd      x4, 32(sp)
    ld      x4, 376(sp)
2:  each_register sd
    csrr    t0, sepc
    csrr    t1, sstatus
    sd      t0, 256(sp)
    sd      t1, 264(sp)
    mv      a0, sp
    csrr    a1, scause
    call    guest_exception
    ld      t0, 256(sp)
    ld      t1, 264(sp)
    csrw    sepc, t0
    csrw    sstatus, t1
    andi    t1, t1, 0x100               // SPP
    bnez    t1, 3f
    addi    t0, sp, 272
    csrw    sscratch, t0
3:  each_register ld
    ld      x4, 32(sp)
    ld      x5, 40(sp)
    ld      x2, 16(sp)
    sret
