// Each guest's build script: links it by the script the guests share, to where QEMU and the
// hypervisor put a Linux Image of its architecture.
fn main() {
    let script = format!("{}/../support/guest.ld", env!("CARGO_MANIFEST_DIR"));
    // The start of RAM plus the text_offset in the header, which entry.s has.
    let base: u64 = match std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("riscv64") => 0x8020_0000,
        _ => 0x4008_0000,
    };
    println!("cargo:rustc-link-arg-bins=-T{script}");
    println!("cargo:rustc-link-arg-bins=--defsym=GUEST_BASE={base:#x}");
    println!("cargo:rerun-if-changed={script}");
}
