// Exceptions taken from EL2 itself. The crate that runs guests installs a table of its own, whose
// first eight slots branch to these; so nothing here asks where VBAR_EL2 points.

    .macro  fatal kind
    .balign 128
    msr     tpidr_el0, x0               // the guest's, but no guest runs after this
    mov     x0, #\kind
    b       el2_fatal
    .endm

    .section .text.vectors, "ax"
    .balign 2048
    .global axhal_el2_vectors
axhal_el2_vectors:
    fatal   0                           // SP_EL0, never selected
    fatal   1
    fatal   2
    fatal   3
    fatal   4                           // synchronous
    .balign 128                         // IRQ
    stp     x29, x30, [sp, #-192]!
    b       el2_irq
    fatal   6                           // FIQ
    .balign 128                         // SError
    stp     x0, x1, [sp, #-16]!
    mrs     x0, tpidr_el2
    ldr     x1, [x0, #{percpu_serror}]
    cbnz    x1, el2_serror
    ldp     x0, x1, [sp], #16
    msr     tpidr_el0, x0
    mov     x0, #7
    b       el2_fatal
    fatal   8                           // from a lower EL: no guest runs with this table
    fatal   9
    fatal   10
    fatal   11
    fatal   12
    fatal   13
    fatal   14
    fatal   15

// What a call may change, and where to return to, go on the stack of the interrupted code: the
// handler may switch to another task, and this one goes on later, on another CPU perhaps.
el2_irq:
    stp     x0, x1, [sp, #16]
    stp     x2, x3, [sp, #32]
    stp     x4, x5, [sp, #48]
    stp     x6, x7, [sp, #64]
    stp     x8, x9, [sp, #80]
    stp     x10, x11, [sp, #96]
    stp     x12, x13, [sp, #112]
    stp     x14, x15, [sp, #128]
    stp     x16, x17, [sp, #144]
    mrs     x0, elr_el2
    mrs     x1, spsr_el2
    stp     x18, x0, [sp, #160]
    str     x1, [sp, #176]
    mov     x29, sp
    bl      {irq}
    ldr     x1, [sp, #176]
    ldp     x18, x0, [sp, #160]
    msr     spsr_el2, x1
    msr     elr_el2, x0
    ldp     x16, x17, [sp, #144]
    ldp     x14, x15, [sp, #128]
    ldp     x12, x13, [sp, #112]
    ldp     x10, x11, [sp, #96]
    ldp     x8, x9, [sp, #80]
    ldp     x6, x7, [sp, #64]
    ldp     x4, x5, [sp, #48]
    ldp     x2, x3, [sp, #32]
    ldp     x0, x1, [sp, #16]
    ldp     x29, x30, [sp], #192
    eret

// An SError that `irq::take_serror` waits for: its syndrome is kept, and no other is let in.
el2_serror:
    mrs     x1, esr_el2
    str     x1, [x0, #{percpu_serror}]
    mrs     x1, spsr_el2
    orr     x1, x1, #0x100              // A
    msr     spsr_el2, x1
    ldp     x0, x1, [sp], #16
    eret

// x0 = slot, the real x0 in TPIDR_EL0. The stack may be the cause: take this CPU's other one.
el2_fatal:
    msr     tpidrro_el0, x1
    mrs     x1, tpidr_el2
    ldr     x1, [x1, #{percpu_emergency}]
    sub     x1, x1, #{frame_size}
    stp     x2, x3, [x1, #16]
    stp     x4, x5, [x1, #32]
    stp     x6, x7, [x1, #48]
    stp     x8, x9, [x1, #64]
    stp     x10, x11, [x1, #80]
    stp     x12, x13, [x1, #96]
    stp     x14, x15, [x1, #112]
    stp     x16, x17, [x1, #128]
    stp     x18, x19, [x1, #144]
    stp     x20, x21, [x1, #160]
    stp     x22, x23, [x1, #176]
    stp     x24, x25, [x1, #192]
    stp     x26, x27, [x1, #208]
    stp     x28, x29, [x1, #224]
    mov     x2, sp
    stp     x30, x2, [x1, #240]
    mrs     x2, tpidr_el0
    mrs     x3, tpidrro_el0
    stp     x2, x3, [x1, #0]
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    stp     x2, x3, [x1, #256]
    mrs     x2, esr_el2
    mrs     x3, far_el2
    stp     x2, x3, [x1, #272]
    str     x0, [x1, #288]
    mov     sp, x1
    mov     x0, x1
    bl      {fatal}
