// Every action ends here, whether it comes back, faults or is interrupted: nothing of the state it
// leaves is trusted, and no memory is used, before the CPU is as it should be.

    .text
    .balign 2048
    .global chaos_vectors
chaos_vectors:
    .set    n, 0
    .rept   16
    .balign 128
    mov     x0, #n
    b       chaos_recover
    .set    n, n + 1
    .endr

// Where CPU_ON begins.
    .balign 128
    .global chaos_entry
chaos_entry:
    mov     x0, #17
    b       chaos_recover

// chaos_call(code, registers): runs the code with x0 to x28 from memory; it may return by x30.
    .global chaos_call
chaos_call:
    mov     x29, x0
    adr     x30, chaos_returned
    ldp     x2, x3, [x1, #16]
    ldp     x4, x5, [x1, #32]
    ldp     x6, x7, [x1, #48]
    ldp     x8, x9, [x1, #64]
    ldp     x10, x11, [x1, #80]
    ldp     x12, x13, [x1, #96]
    ldp     x14, x15, [x1, #112]
    ldp     x16, x17, [x1, #128]
    ldp     x18, x19, [x1, #144]
    ldp     x20, x21, [x1, #160]
    ldp     x22, x23, [x1, #176]
    ldp     x24, x25, [x1, #192]
    ldp     x26, x27, [x1, #208]
    ldr     x28, [x1, #224]
    ldp     x0, x1, [x1]
    br      x29
chaos_returned:
    mov     x0, #16

// x0 says how it came here.
chaos_recover:
    msr     daifset, #15
    msr     spsel, #1
    mov     x1, #0x1805                 // M, C, I and RES1
    movk    x1, #0x30d0, lsl #16
    mov     x2, #0x3519                 // as guests/support has it
    movk    x2, #0x0080, lsl #16
    movk    x2, #0x2, lsl #32
    adrp    x3, guest_map
    add     x3, x3, :lo12:guest_map
    mov     x4, #0x04ff
    adrp    x5, chaos_vectors
    add     x5, x5, :lo12:chaos_vectors
    msr     vbar_el1, x5
    mrs     x6, sctlr_el1
    cmp     x6, x1
    b.ne    1f
    mrs     x6, tcr_el1
    cmp     x6, x2
    b.ne    1f
    mrs     x6, ttbr0_el1
    cmp     x6, x3
    b.ne    1f
    mrs     x6, mair_el1
    cmp     x6, x4
    b.eq    2f
1:  msr     tcr_el1, x2
    msr     ttbr0_el1, x3
    msr     mair_el1, x4
    isb
    tlbi    vmalle1
    dsb     nsh
    isb
    msr     sctlr_el1, x1
2:  mov     x1, #(3 << 20)
    msr     cpacr_el1, x1
    isb
    mrs     x1, mpidr_el1
    and     x1, x1, #7
    msr     tpidr_el1, x1
    add     x1, x1, #1
    adrp    x2, chaos_stacks
    add     x2, x2, :lo12:chaos_stacks
    add     x2, x2, x1, lsl #14
    mov     sp, x2
    b       chaos_next
