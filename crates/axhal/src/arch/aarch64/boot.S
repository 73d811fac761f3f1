// From the loader's jump to Rust, for the first CPU and for those that PSCI starts.
//
// Entered as Linux's Documentation/arch/arm64/booting.rst says: MMU off, the image clean to the
// point of coherency, x0 = physical address of the device tree. Nothing below assumes where the
// image lies, beyond 4 KiB alignment: all is PC-relative until the MMU is on.
//
// Register use until Rust: x19 device tree, x20 image, x21 regime (0: EL2; 1: EL1; 2: EL2 whose
// E2H can't be cleared), x22 root table, x27 this CPU's PerCpu, x28 where to go on with the MMU on.

    .section .head, "ax"
    .global _start
_start:
    b       1f                          // code0
    .long   0                           // code1
    .quad   0                           // text_offset
    .quad   __image_size                // with .bss: nobody may put anything there
    .quad   {header_flags}
    .quad   0
    .quad   0
    .quad   0
    .ascii  "ARM\x64"
    .long   0
1:  b       primary

    // VBAR_ELx is _start while the MMU is switched on: the fetch that follows is translated and
    // faults, as the image is not mapped where it lies but where it is linked. The exception
    // brings the CPU here, at the linked address. So no identity mapping is ever needed.
    .org    _start + 0x200
    br      x28

    .section .text.boot, "ax"
primary:
    mov     x19, x0
    adrp    x20, _start
    bl      init_el
    lsr     x0, x20, #{max_image_bits}  // at or above the linked address: see above
    cbnz    x0, park

    // The tables lie in .bss, whose distance from the code is not the linked one.
    ldr     x23, =__bss_shift
    adrp    x22, {tables}
    add     x22, x22, x23
    add     x24, x22, #{tables_size}
    mov     x0, x22
    mov     x1, x24
    bl      invalidate_dcache           // no dirty line may be written over them
    mov     x0, x22
1:  stp     xzr, xzr, [x0], #16
    cmp     x0, x24
    b.lo    1b

    // Level 0 -> 1 -> 2 -> four tables of level 3: 8 MiB, in pages, at the linked address.
    add     x0, x22, #0x1000
    orr     x1, x0, #{table_desc}
    str     x1, [x22, #({l0_index} * 8)]
    add     x2, x0, #0x1000
    orr     x1, x2, #{table_desc}
    str     x1, [x0]
    add     x25, x2, #0x1000
    orr     x1, x25, #{table_desc}
    mov     x3, #{l3_tables}
1:  str     x1, [x2], #8
    add     x1, x1, #0x1000
    subs    x3, x3, #1
    b.ne    1b

    .macro  map from, to, attributes, shift
    adrp    x0, \from
    adrp    x1, \to
    ldr     x2, =\attributes
    mov     x3, \shift
    bl      map_pages
    .endm
    map     __text_start, __text_end, {attr_code}, xzr
    map     __text_end, __rodata_end, {attr_rodata}, xzr
    map     __rodata_end, __data_end, {attr_data}, xzr
    map     __bss_start, __bss_end, {attr_data}, x23

    mov     x0, x22
    mov     x1, x24
    dmb     sy
    bl      invalidate_dcache           // nor may a line fetched early hide them

    ldr     x28, =primary_mapped
    b       enable_mmu

primary_mapped:
    ldr     x0, =__boot_stack_top
    mov     sp, x0
    ldr     x0, =__zero_start
    ldr     x1, =__bss_end
1:  stp     xzr, xzr, [x0], #16
    stp     xzr, xzr, [x0], #16
    stp     xzr, xzr, [x0], #16
    stp     xzr, xzr, [x0], #16
    cmp     x0, x1
    b.lo    1b
    cbnz    x21, 2f
    ldr     x0, =axhal_el2_vectors
    msr     vbar_el2, x0
    ldr     x0, ={percpu}
    msr     tpidr_el2, x0
    ldr     x1, =__emergency_stack_top
    str     x1, [x0, #{percpu_emergency}]
    isb
2:  mov     x29, xzr                    // the end of every backtrace
    mov     x30, xzr
    mov     x0, x19
    mov     x1, x20
    mov     x2, x21
    b       {primary_entry}

    // A CPU started by PSCI CPU_ON: x0 = physical address of its PerCpu, which holds what it
    // needs and was cleaned to the point of coherency.
    .global axhal_secondary_start
axhal_secondary_start:
    mov     x27, x0
    bl      init_el
    cbnz    x21, park
    ldr     x22, [x27, #{percpu_root}]
    ldr     x26, [x27, #{percpu_stack}]
    ldr     x27, [x27, #{percpu_self}]
    ldr     x28, =secondary_mapped
    b       enable_mmu

secondary_mapped:
    mov     sp, x26
    ldr     x0, =axhal_el2_vectors
    msr     vbar_el2, x0
    msr     tpidr_el2, x27
    isb
    mov     x29, xzr
    mov     x30, xzr
    b       {secondary_entry}

park:
    wfi
    b       park

// Maps the pages from x0 up to x1 (addresses as PC-relative code sees them) with the attributes
// x2, at the linked address, to what lies x3 bytes further. Clobbers x0, x4, x5.
map_pages:
    sub     x4, x0, x20
    lsr     x4, x4, #12
    add     x4, x25, x4, lsl #3
1:  cmp     x0, x1
    b.hs    2f
    add     x5, x0, x3
    orr     x5, x5, x2
    str     x5, [x4], #8
    add     x0, x0, #0x1000
    b       1b
2:  ret

// Drops the cache lines of x0 up to x1. Clobbers x0, x2, x3.
invalidate_dcache:
    mrs     x3, ctr_el0
    ubfx    x3, x3, #16, #4
    mov     x2, #4
    lsl     x2, x2, x3
1:  dc      ivac, x0
    add     x0, x0, x2
    cmp     x0, x1
    b.lo    1b
    dsb     sy
    ret

// The regime in x21, and every EL2 register that matters to a known value, with the MMU off.
// Clobbers x0 to x2.
init_el:
    msr     daifset, #0xf
    msr     spsel, #1
    mrs     x0, CurrentEL
    cmp     x0, #(1 << 2)
    b.eq    at_el1
    cmp     x0, #(3 << 2)
    b.eq    park

    mov     x21, #0
    ldr     x0, ={hcr_host}             // E2H = TGE = 0 first: other registers' layout hangs on it
    msr     hcr_el2, x0
    isb
    mrs     x1, hcr_el2
    tbnz    x1, #34, e2h_is_fixed
    ldr     x0, ={sctlr_el2_off}
    msr     sctlr_el2, x0
    isb
    ldr     x0, ={cptr_el2}
    msr     cptr_el2, x0
    msr     hstr_el2, xzr
    msr     vttbr_el2, xzr
    msr     cntvoff_el2, xzr
    msr     cnthp_ctl_el2, xzr
    msr     cntp_ctl_el0, xzr
    msr     cntv_ctl_el0, xzr
    mov     x0, #3                      // EL1PCTEN, EL1PCEN: the physical timer is the guest's
    msr     cnthctl_el2, x0
    mrs     x0, midr_el1
    msr     vpidr_el2, x0
    mrs     x0, mpidr_el1
    msr     vmpidr_el2, x0

    // Hypervisor events are not counted; all counters are EL1's. HPMN may not exceed PMCR.N.
    mov     x1, #0
    mrs     x0, id_aa64dfr0_el1
    ubfx    x0, x0, #8, #4              // PMUVer: 0 none, 0xf not Arm's
    sub     x0, x0, #1
    cmp     x0, #0xe
    b.hs    1f
    mrs     x1, pmcr_el0
    ubfx    x1, x1, #11, #5
    orr     x1, x1, #(1 << 17)          // HPMD
1:  msr     mdcr_el2, x1

    mrs     x0, id_aa64mmfr1_el1
    ubfx    x0, x0, #8, #4              // VH: there is an EL2 virtual timer as well
    cbz     x0, 1f
    msr     s3_4_c14_c3_1, xzr          // CNTHV_CTL_EL2
1:  mrs     x0, id_aa64pfr0_el1
    ubfx    x0, x0, #24, #4             // GIC: system registers
    cbz     x0, 1f
    mov     x0, #0xf                    // ICC_SRE_EL2: SRE, DFB, DIB, Enable
    msr     s3_4_c12_c9_5, x0
    isb
    mrs     x0, s3_4_c12_c9_5
    tbz     x0, #0, 1f                  // EL3 keeps them to itself
    msr     s3_4_c12_c11_0, xzr         // ICH_HCR_EL2
1:  mrs     x0, s3_0_c0_c7_3            // ID_AA64MMFR3_EL1
    ubfx    x1, x0, #0, #4              // TCRX
    cbz     x1, 1f
    msr     s3_4_c2_c0_3, xzr           // TCR2_EL2
1:  ubfx    x1, x0, #4, #4              // SCTLRX
    cbz     x1, 1f
    mrs     x0, id_aa64pfr0_el1
    ubfx    x0, x0, #12, #4             // EL3 may keep it: it counts as 0 then, or is set up
    cbnz    x0, 1f
    msr     s3_4_c1_c0_3, xzr           // SCTLR2_EL2
1:  isb
    ret

e2h_is_fixed:
    orr     x0, x1, #(1 << 27)          // TGE: EL1's register names now mean EL2's own regime
    msr     hcr_el2, x0
    isb
    mov     x21, #2
    b       1f
at_el1:
    mov     x21, #1
1:  ldr     x0, ={sctlr_el1_off}
    msr     sctlr_el1, x0
    isb
    ret

// Switches to the tables at x22 and goes on at x28. Clobbers x0 to x2.
enable_mmu:
    mrs     x1, id_aa64mmfr0_el1
    and     x1, x1, #0xf                // PARange
    mov     x0, #5                      // more than 48 bits needs another table format
    cmp     x1, x0
    csel    x1, x1, x0, ls
    ldr     x2, ={mair}
    cbnz    x21, 1f

    ldr     x0, ={tcr_el2}
    orr     x0, x0, x1, lsl #16         // PS
    msr     tcr_el2, x0
    msr     mair_el2, x2
    msr     ttbr0_el2, x22
    ldr     x0, =_start
    msr     vbar_el2, x0
    ldr     x1, ={sctlr_el2_on}
    dsb     sy
    tlbi    alle2
    tlbi    alle1
    ic      iallu
    dsb     nsh
    isb
    msr     sctlr_el2, x1
    isb
    b       park                        // never reached: the fetch faults

1:  ldr     x0, ={tcr_el1}
    orr     x0, x0, x1, lsl #32         // IPS
    msr     tcr_el1, x0
    msr     mair_el1, x2
    msr     ttbr0_el1, x22
    ldr     x0, =_start
    msr     vbar_el1, x0
    ldr     x1, ={sctlr_el1_on}
    dsb     sy
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    msr     sctlr_el1, x1
    isb
    b       park

    .ltorg
