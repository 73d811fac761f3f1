    .section .bios, "ax"
    .global bios_start
bios_start:
    // a0, the hart id, and a1, the device tree, are the kernel's.
    mv      s0, a0
    mv      s1, a1
    csrci   sstatus, 2
    csrw    sie, zero
    li      s2, 0x10000000              // the console, a 16550
    la      a0, text_runs
    call    print
    // A RISC-V Image, 2 MiB behind the start of RAM, says so 56 bytes behind its own.
    li      s3, 0x80200000
    lwu     t0, 56(s3)
    li      t1, 0x05435352
    bne     t0, t1, alone
    la      t0, bios_start
    beq     t0, s3, alone               // (this very program)
    mv      a0, s0
    mv      a1, s1
    jr      s3
alone:
    // SBI set_timer: in a moment. Interrupts stay out, but one that is pending ends WFI.
    rdtime  a0
    li      t0, 0x8000
    add     a0, a0, t0
    li      a6, 0
    li      a7, 0x54494d45
    ecall
    li      s4, 0x20                    // STIE, STIP
    csrs    sie, s4
1:  wfi
    csrr    t0, sip
    and     t0, t0, s4
    beqz    t0, 1b
    la      a0, text_waited
    call    print
    // SBI system_reset: shutdown.
    li      a0, 0
    li      a1, 0
    li      a6, 0
    li      a7, 0x53525354
    ecall
3:  j       3b
// Prints the string at a0; changes t0 and t1.
print:
    lbu     t0, 0(a0)
    beqz    t0, 3f
2:  lbu     t1, 5(s2)
    andi    t1, t1, 0x20
    beqz    t1, 2b
    sb      t0, 0(s2)
    addi    a0, a0, 1
    j       print
3:  ret
text_runs: .asciz "bios: runs\r\n"
text_waited: .asciz "bios: waited for its timer\r\n"
    .balign 4
