// A trap handler that does no more than a measurement needs. sscratch has this hart's Cpu
// (measure.rs): 0 irq_time, 8 irq_done, 16 irqs, 24 intid, 32 fault_time, 40 faults, 48 cause,
// 56 quiet_address, 64 quiet_value. The stack may be used: everything runs in one mode.

    .text
    .balign 4
    .global bench_trap
bench_trap:
    addi    sp, sp, -32
    sd      t0, 0(sp)
    sd      t1, 8(sp)
    sd      t2, 16(sp)
    rdcycle t0
    csrr    t1, sscratch
    csrr    t2, scause
    bltz    t2, on_interrupt

// A fault: when it was taken, how many; on behind the instruction.
    sd      t0, 32(t1)
    sd      t2, 48(t1)
    ld      t0, 40(t1)
    addi    t0, t0, 1
    sd      t0, 40(t1)
    csrr    t0, sepc
    lhu     t2, 0(t0)
    andi    t2, t2, 3
    addi    t2, t2, -3
    addi    t0, t0, 2
    bnez    t2, 1f
    addi    t0, t0, 2
1:  csrw    sepc, t0
    ld      t0, 0(sp)
    ld      t1, 8(sp)
    ld      t2, 16(sp)
    addi    sp, sp, 32
    sret

// An interrupt: when it was taken and when it was ended, which, how many. The timer's is switched
// off, a device is quietened by one write.
on_interrupt:
    sd      t0, 0(t1)
    sd      t2, 24(t1)
    andi    t2, t2, 15
    addi    t2, t2, -5
    beqz    t2, 2f
    bgtz    t2, 3f
    csrci   sip, 2                      // SSIP
4:  rdcycle t0
    sd      t0, 8(t1)
    ld      t0, 16(t1)
    addi    t0, t0, 1
    fence   w, w
    sd      t0, 16(t1)
    ld      t0, 0(sp)
    ld      t1, 8(sp)
    ld      t2, 16(sp)
    addi    sp, sp, 32
    sret
2:  li      t0, 0x20                    // STIE
    csrc    sie, t0
    j       4b
3:  sd      t3, 24(sp)
    la      t3, bench_claim             // the first hart's: no other takes these
    ld      t3, 0(t3)
    lw      t2, 0(t3)
    ld      t0, 56(t1)
    beqz    t0, 5f
    ld      t1, 64(t1)
    sb      t1, 0(t0)
    fence   iorw, iorw
    csrr    t1, sscratch
5:  sw      t2, 0(t3)
    ld      t3, 24(sp)
    j       4b
