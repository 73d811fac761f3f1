//! What the device tree says the CPUs have.

use crate::tree;

/// Whether the device tree has extension `name`, in its old or new form: `riscv,isa`, where single
/// letters come first, or `riscv,isa-extensions`.
pub fn has(name: &str) -> bool {
    if let Some(list) = tree::find("riscv,isa-extensions") {
        return list.texts().any(|extension| extension == name);
    }
    let Some(string) = tree::find("riscv,isa") else {
        return false;
    };
    let mut parts = string.text().split('_');
    let letters = parts.next().and_then(|first| first.strip_prefix("rv64"));
    // Multi-letter extensions of the first part begin with s, x or z.
    let letters = letters.unwrap_or_default();
    let single = letters.split(['s', 'x', 'z']).next().unwrap_or_default();
    if name.len() == 1 {
        return single.contains(name);
    }
    letters.get(single.len()..) == Some(name) || parts.any(|extension| extension == name)
}
