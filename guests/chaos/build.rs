//! Links the guest by the script the guests share.
fn main() {
    let script = format!("{}/../support/guest.ld", env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rustc-link-arg-bins=-T{script}");
    println!("cargo:rerun-if-changed={script}");
}
