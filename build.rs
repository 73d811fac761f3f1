//! Links the bootable image: the linker script, and the boot bundle named by `AXHV_BUNDLE`.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=linker");
    println!("cargo::rerun-if-env-changed=AXHV_BUNDLE");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    for argument in [
        format!("-T{root}/linker/{arch}.ld"),
        "--build-id=sha1".into(),
        "-zmax-page-size=4096".into(),
        "-znoexecstack".into(),
        // The names that the assembler makes up for itself would hide those of functions.
        "--discard-locals".into(),
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }

    // Without a bundle, an empty one: the section is always there.
    let bundle = match env::var("AXHV_BUNDLE") {
        Ok(path) if !path.is_empty() => {
            println!("cargo::rerun-if-changed={path}");
            fs::canonicalize(&path).unwrap_or_else(|error| panic!("AXHV_BUNDLE={path}: {error}"))
        }
        _ => {
            let empty = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("empty");
            fs::write(&empty, []).expect("OUT_DIR can be written");
            empty
        }
    };
    let bundle = bundle.to_str().expect("AXHV_BUNDLE is UTF-8");
    // It becomes a string in an assembler line.
    assert!(
        !bundle.contains(['"', '\\', '\n', '{', '}']),
        "AXHV_BUNDLE={bundle}: bad characters"
    );
    println!("cargo::rustc-env=AXHV_BUNDLE_FILE={bundle}");
}
