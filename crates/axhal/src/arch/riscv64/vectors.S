// Traps of the hypervisor itself. See mod.rs for what holds when stvec points here.

    .option norelax

    .section .text.vectors, "ax"
    .balign 4
    .global axhal_trap_vector
axhal_trap_vector:
    sd      t0, {percpu_trap}(tp)
    csrr    t0, scause
    bgez    t0, exception               // the highest bit: an interrupt
    ld      t0, {percpu_trap}(tp)

// What a call may change, and where to return to, go on the stack of the interrupted code: the
// handler may switch to another task, and this one goes on later, on another hart perhaps (so tp
// isn't kept). The last two words are a frame record that names the interrupted place.
    addi    sp, sp, -160
    sd      s0, 144(sp)
    sd      ra, 0(sp)
    sd      t0, 8(sp)
    sd      t1, 16(sp)
    sd      t2, 24(sp)
    sd      t3, 32(sp)
    sd      t4, 40(sp)
    sd      t5, 48(sp)
    sd      t6, 56(sp)
    sd      a0, 64(sp)
    sd      a1, 72(sp)
    sd      a2, 80(sp)
    sd      a3, 88(sp)
    sd      a4, 96(sp)
    sd      a5, 104(sp)
    sd      a6, 112(sp)
    sd      a7, 120(sp)
    csrr    t0, sepc
    sd      t0, 152(sp)
    addi    s0, sp, 160
    call    {irq}
    ld      t0, 152(sp)
    csrw    sepc, t0
    li      t0, {sstatus_return}        // back to this mode, interrupts open as they were
    csrs    sstatus, t0
    li      t0, {hstatus_spv}           // and not to a guest, whatever ran meanwhile
    csrc    0x600, t0                   // hstatus
    ld      ra, 0(sp)
    ld      t0, 8(sp)
    ld      t1, 16(sp)
    ld      t2, 24(sp)
    ld      t3, 32(sp)
    ld      t4, 40(sp)
    ld      t5, 48(sp)
    ld      t6, 56(sp)
    ld      a0, 64(sp)
    ld      a1, 72(sp)
    ld      a2, 80(sp)
    ld      a3, 88(sp)
    ld      a4, 96(sp)
    ld      a5, 104(sp)
    ld      a6, 112(sp)
    ld      a7, 120(sp)
    ld      s0, 144(sp)
    addi    sp, sp, 160
    sret

// The stack may be the cause: take this hart's other one. t0 is saved already.
exception:
    sd      sp, {percpu_trap} + 8(tp)
    ld      sp, {percpu_emergency}(tp)
    addi    sp, sp, -{frame_size}
    sd      ra, 1*8(sp)
    sd      gp, 3*8(sp)
    sd      tp, 4*8(sp)
    sd      t1, 6*8(sp)
    sd      t2, 7*8(sp)
    sd      s0, 8*8(sp)
    sd      s1, 9*8(sp)
    sd      a0, 10*8(sp)
    sd      a1, 11*8(sp)
    sd      a2, 12*8(sp)
    sd      a3, 13*8(sp)
    sd      a4, 14*8(sp)
    sd      a5, 15*8(sp)
    sd      a6, 16*8(sp)
    sd      a7, 17*8(sp)
    sd      s2, 18*8(sp)
    sd      s3, 19*8(sp)
    sd      s4, 20*8(sp)
    sd      s5, 21*8(sp)
    sd      s6, 22*8(sp)
    sd      s7, 23*8(sp)
    sd      s8, 24*8(sp)
    sd      s9, 25*8(sp)
    sd      s10, 26*8(sp)
    sd      s11, 27*8(sp)
    sd      t3, 28*8(sp)
    sd      t4, 29*8(sp)
    sd      t5, 30*8(sp)
    sd      t6, 31*8(sp)
    ld      t1, {percpu_trap} + 8(tp)
    sd      t1, 2*8(sp)
    ld      t1, {percpu_trap}(tp)
    sd      t1, 5*8(sp)
    csrr    t1, sepc
    sd      t1, 0(sp)
    csrr    t1, sstatus
    sd      t1, 32*8(sp)
    csrr    t1, scause
    sd      t1, 33*8(sp)
    csrr    t1, stval
    sd      t1, 34*8(sp)
    mv      a0, sp
    call    {fatal}
