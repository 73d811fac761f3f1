    .section .bios, "ax"
    .global bios_start
bios_start:
    // x0, the device tree, is the kernel's.
    mov     x19, x0
    // The console, a PL011: on.
    movz    x20, #0x0900, lsl #16
    mov     w1, #0x301
    str     w1, [x20, #0x30]
    adr     x1, text_runs
    bl      print
    // An arm64 Image, 512 KiB behind the start of RAM, says so 56 bytes behind its own.
    movz    x21, #0x4008, lsl #16
    ldr     w1, [x21, #56]
    movz    w2, #0x5241
    movk    w2, #0x644d, lsl #16
    cmp     w1, w2
    b.ne    alone
    mov     x0, x19
    mov     x1, xzr
    mov     x2, xzr
    mov     x3, xzr
    br      x21
alone:
    mov     x1, #0x8000
    msr     cntv_tval_el0, x1
    mov     x1, #1
    msr     cntv_ctl_el0, x1
    isb
1:  wfi
    mrs     x1, cntv_ctl_el0
    tbz     x1, #2, 1b
    adr     x1, text_waited
    bl      print
    // PSCI SYSTEM_OFF.
    movz    x0, #0x0008
    movk    x0, #0x8400, lsl #16
    hvc     #0
    b       .
// Prints the string at x1; changes x1, w2 and w3.
print:
    ldrb    w2, [x1], #1
    cbz     w2, 3f
2:  ldr     w3, [x20, #0x18]
    tbnz    w3, #5, 2b
    str     w2, [x20]
    b       print
3:  ret
text_runs: .asciz "bios: runs\r\n"
text_waited: .asciz "bios: waited for its timer\r\n"
    .balign 4
