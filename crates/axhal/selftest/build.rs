//! Links it as the hypervisor is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../../linker");
    let variable = |name| std::env::var(name).expect("cargo sets it");
    if variable("CARGO_CFG_TARGET_OS") != "none" {
        return;
    }
    let (here, arch) = (
        variable("CARGO_MANIFEST_DIR"),
        variable("CARGO_CFG_TARGET_ARCH"),
    );
    let script = format!("-T{here}/../../../linker/{arch}.ld");
    for argument in [
        script.as_str(),
        "--build-id=sha1",
        "-zmax-page-size=4096",
        "-znoexecstack",
        // The names that the assembler makes up for itself would hide those of functions.
        "--discard-locals",
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
