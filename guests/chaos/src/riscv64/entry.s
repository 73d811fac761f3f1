// Every action ends here, whether it comes back, faults or is interrupted: nothing of the state it
// leaves is trusted, and no memory is used, before the CPU is as it should be. Each hart has a trap
// handler of its own, which is how it knows which it is.

    .text
    .option push
    .option norvc
    .macro  handler number
    .balign 16
    li      tp, \number
    li      a0, 0
    j       chaos_recover
    .endm

    .balign 16
    .global chaos_handlers
chaos_handlers:
    handler 0
    handler 1
    handler 2
    handler 3
    handler 4
    handler 5
    handler 6
    handler 7
    .option pop

// Where HSM starts a hart: a0 is its id.
    .balign 4
    .global chaos_entry
chaos_entry:
    andi    tp, a0, 7
    li      a0, 2
    j       chaos_recover

// chaos_call(code, registers): runs the code with x0 to x31 from memory, but for ra and tp; it may
// return by ra.
    .global chaos_call
chaos_call:
    mv      ra, a0
    mv      t6, a1
    ld      sp, 16(t6)
    ld      gp, 24(t6)
    ld      t0, 40(t6)
    ld      t1, 48(t6)
    ld      t2, 56(t6)
    ld      s0, 64(t6)
    ld      s1, 72(t6)
    ld      a0, 80(t6)
    ld      a1, 88(t6)
    ld      a2, 96(t6)
    ld      a3, 104(t6)
    ld      a4, 112(t6)
    ld      a5, 120(t6)
    ld      a6, 128(t6)
    ld      a7, 136(t6)
    ld      s2, 144(t6)
    ld      s3, 152(t6)
    ld      s4, 160(t6)
    ld      s5, 168(t6)
    ld      s6, 176(t6)
    ld      s7, 184(t6)
    ld      s8, 192(t6)
    ld      s9, 200(t6)
    ld      s10, 208(t6)
    ld      s11, 216(t6)
    ld      t3, 224(t6)
    ld      t4, 232(t6)
    ld      t5, 240(t6)
    ld      t6, 248(t6)
    jalr    ra                          // ra is then where it may come back to
    // If it did, it may have changed tp.
    la      t0, chaos_handlers
    csrr    tp, stvec
    sub     tp, tp, t0
    srli    tp, tp, 4
    andi    tp, tp, 7
    li      a0, 1

// a0 says how it came here: 0 by a trap, 1 by returning, 2 started. tp is which hart this is.
chaos_recover:
    csrci   sstatus, 2
    la      t0, guest_map
    srli    t0, t0, 12
    li      t1, 8                       // Sv39, as guests/support has it
    slli    t1, t1, 60
    or      t0, t0, t1
    csrr    t1, satp
    beq     t0, t1, 1f
    sfence.vma
    csrw    satp, t0
    sfence.vma
1:  li      t0, 0x2200                  // FS and VS Initial
    li      t1, 0xc0100                 // SUM, MXR, SPP
    csrc    sstatus, t1
    csrs    sstatus, t0
    la      t0, chaos_handlers
    slli    t1, tp, 4
    add     t0, t0, t1
    csrw    stvec, t0
    la      t0, chaos_stacks
    addi    t1, tp, 1
    slli    t1, t1, 14
    add     sp, t0, t1
    j       chaos_next
