//! Links the program to the start of RAM.
fn main() {
    let script = format!("{}/bios.ld", env!("CARGO_MANIFEST_DIR"));
    let ram: u64 = match std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("riscv64") => 0x8000_0000,
        _ => 0x4000_0000,
    };
    println!("cargo:rustc-link-arg-bins=-T{script}");
    println!("cargo:rustc-link-arg-bins=--defsym=RAM_BASE={ram:#x}");
    println!("cargo:rerun-if-changed={script}");
}
