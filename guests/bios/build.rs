//! Links the program to the start of RAM.
fn main() {
    let script = format!("{}/bios.ld", env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rustc-link-arg-bins=-T{script}");
    println!("cargo:rerun-if-changed={script}");
}
