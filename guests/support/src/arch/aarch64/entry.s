// The arm64 Image header (Documentation/arch/arm64/booting), the way into Rust of the first CPU and
// of the others, and the exception vectors. The guest runs at EL1 with SP_EL1.

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
    mov     x19, x0
    adrp    x1, __bss_start
    add     x1, x1, :lo12:__bss_start
    adrp    x2, __bss_end
    add     x2, x2, :lo12:__bss_end
1:  cmp     x1, x2
    b.hs    2f
    str     xzr, [x1], #8
    b       1b
2:  mov     x20, #0
    bl      setup_cpu
    mov     x0, x19
    mov     x1, #0                      // its own number
    bl      guest_first_cpu
    b       .

// Another CPU, by CPU_ON: x0 is its number.
    .global guest_secondary_entry
guest_secondary_entry:
    mov     x20, x0
    mrs     x21, sctlr_el1              // as the CPU was started
    mrs     x22, daif
    mrs     x23, currentel
    bl      setup_cpu
    mov     x0, x20
    mov     x1, x21
    mov     x2, x22
    mov     x3, x23
    bl      guest_other_cpu
    b       .

// Stack, vectors, per-CPU pointer and identity map of CPU number x20.
setup_cpu:
    adrp    x1, guest_stacks
    add     x1, x1, :lo12:guest_stacks
    add     x2, x20, #1
    add     x1, x1, x2, lsl #15         // STACK_SIZE
    msr     spsel, #1
    mov     sp, x1
    adrp    x1, guest_vectors
    add     x1, x1, :lo12:guest_vectors
    msr     vbar_el1, x1
    msr     tpidr_el1, x20
    mov     x1, #0x04ff                 // attribute 0: Normal write-back, 1: Device-nGnRE
    msr     mair_el1, x1
    ldr     x1, =0x200803519            // 39 bits by TTBR0, 4 KiB, inner shareable, 40-bit PA
    msr     tcr_el1, x1
    adrp    x1, guest_map
    add     x1, x1, :lo12:guest_map
    msr     ttbr0_el1, x1
    mov     x1, #(3 << 20)              // FP and SIMD are used by test cases
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

// guest_enter_user(pc, spsr, argument): runs code at a lower exception level until it takes a
// synchronous exception; guest_exception then returns to guest_leave_user. What EL0 left in x0 is
// the result.
    .global guest_enter_user
guest_enter_user:
    stp     x19, x20, [sp, #-96]!
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    msr     elr_el1, x0
    msr     spsr_el1, x1
    mov     x0, x2
    eret
    .global guest_leave_user
guest_leave_user:
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     x29, x30, [sp, #80]
    ldp     x19, x20, [sp], #96
    ret

// Each vector saves the general registers and where it came from, and calls guest_exception with
// the frame and the vector's number.
    .macro  vector number
    .balign 128
    sub     sp, sp, #288
    stp     x0, x1, [sp]
    mov     x0, #\number
    b       exception_common
    .endm

    .balign 2048
    .global guest_vectors
guest_vectors:
    vector 0
    vector 1
    vector 2
    vector 3
    vector 4
    vector 5
    vector 6
    vector 7
    vector 8
    vector 9
    vector 10
    vector 11
    vector 12
    vector 13
    vector 14
    vector 15

exception_common:
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    str     x30, [sp, #240]
    mrs     x1, elr_el1
    mrs     x2, spsr_el1
    stp     x1, x2, [sp, #248]
    mov     x1, x0
    mov     x0, sp
    bl      guest_exception
    ldp     x1, x2, [sp, #248]
    msr     elr_el1, x1
    msr     spsr_el1, x2
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    ldr     x30, [sp, #240]
    ldp     x0, x1, [sp]
    add     sp, sp, #288
    eret
