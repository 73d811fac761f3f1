//! The ISA a guest is told of: the host's, without what does not work in VS-mode as it is set up
//! here. Pure. Names and their order: RISC-V unprivileged ISA, "ISA Extension Naming Conventions", and
//! the device tree binding of `riscv,isa` and `riscv,isa-extensions`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What depends on the machine, beyond a name in its list: see `Features::enabled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enabled {
    /// Floating-point registers are switched: those of D, and F's in them.
    pub float: bool,
    /// Vector registers are switched.
    pub vector: bool,
    /// henvcfg.STCE works.
    pub sstc: bool,
    /// henvcfg.CBCFE and CBIE work.
    pub zicbom: bool,
    /// henvcfg.CBZE works.
    pub zicboz: bool,
    /// henvcfg.PBMTE works.
    pub svpbmt: bool,
}

/// What can't be an ISA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsaError {
    /// It doesn't begin with `rv64`.
    NotRv64,
    /// A single-letter extension is no letter.
    Letter(char),
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRv64 => write!(f, "not an ISA of 64 bits"),
            Self::Letter(letter) => write!(f, "{letter:?} is no extension"),
        }
    }
}

/// Single letters that guests may have, in the order in which an ISA string has them. `q` has
/// registers that are not switched; `h` is the hypervisor's.
const LETTERS: &str = "imafdcbv";

/// Longer names that guests may have whatever the machine is like, in alphabetical order. Left out
/// is what has state that is not switched (Zcmt, Smcsrind, Sdtrig), what is the firmware's (Sm...) or
/// the hypervisor's (Sha, Sh...), what would need an enable bit that is not set (Svadu, Zicfilp, Zicfiss,
/// Ssnpm, Ssdbltrp), counters beyond the three of Zicntr (Zihpm, Sscofpmf), AIA, and Zkr, whose CSR no guest
/// may read.
const NAMES: [&str; 61] = [
    "sscounterenw",
    "sstvala",
    "sstvecd",
    "ssu64xl",
    "svade",
    "svbare",
    "svinval",
    "svnapot",
    "svvptc",
    "za128rs",
    "za64rs",
    "zaamo",
    "zabha",
    "zacas",
    "zalasr",
    "zalrsc",
    "zama16b",
    "zawrs",
    "zba",
    "zbb",
    "zbc",
    "zbkb",
    "zbkc",
    "zbkx",
    "zbs",
    "zca",
    "zcb",
    "zcd",
    "zcmop",
    "zfa",
    "zfbfmin",
    "zfh",
    "zfhmin",
    "zic64b",
    "zicbop",
    "ziccamoa",
    "ziccamoc",
    "ziccif",
    "zicclsm",
    "ziccrse",
    "zicntr",
    "zicond",
    "zicsr",
    "zifencei",
    "zihintntl",
    "zihintpause",
    "zimop",
    "zkn",
    "zknd",
    "zkne",
    "zknh",
    "zks",
    "zksed",
    "zksh",
    "zkt",
    "zmmul",
    "ztso",
    "zvbb",
    "zvbc",
    "zvfh",
    "zvfhmin",
];

/// Whether a guest may be told of the extension `name` (lower case, no version).
fn allowed(name: &str, enabled: Enabled) -> bool {
    match name {
        "v" => enabled.vector,
        "f" | "d" | "zcd" => enabled.float,
        _ if name.starts_with("zf") => enabled.float && NAMES.contains(&name),
        "sstc" => enabled.sstc,
        "zicbom" => enabled.zicbom,
        "zicboz" => enabled.zicboz,
        "svpbmt" => enabled.svpbmt,
        // All vector extensions: they add instructions and no state.
        _ if name.starts_with("zv") => enabled.vector,
        _ if name.len() == 1 => LETTERS.contains(name),
        _ => NAMES.contains(&name),
    }
}

/// A guest's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestIsa {
    /// Single letters in their order, then the longer names in the host's order. None twice.
    extensions: Vec<String>,
}

impl GuestIsa {
    /// From an ISA string (`riscv,isa`): `rv64imafdch_zicsr_...`. Letters may have versions (`i2p1`), and so
    /// may names.
    pub fn from_string(isa: &str, enabled: Enabled) -> Result<Self, IsaError> {
        let isa = isa.to_ascii_lowercase();
        let rest = isa.strip_prefix("rv64").ok_or(IsaError::NotRv64)?;
        let mut parts = rest.split('_');
        let mut names = Vec::new();
        // A name of several letters ends the single ones, with or without an underscore.
        let first = parts.next().unwrap_or("");
        let mut at = first.chars();
        while let Some(letter) = at.clone().next() {
            match letter {
                's' | 'x' | 'z' => break,
                'a'..='z' => names.push(String::from(letter)),
                // Digits of a version, and the `p` between them.
                '0'..='9' => {
                    let digits = at.as_str().trim_start_matches(|c: char| c.is_ascii_digit());
                    let minor = digits
                        .strip_prefix('p')
                        .filter(|minor| minor.starts_with(|c: char| c.is_ascii_digit()));
                    let minor = minor.map(|m| m.trim_start_matches(|c: char| c.is_ascii_digit()));
                    at = minor.unwrap_or(digits).chars();
                    continue;
                }
                other => return Err(IsaError::Letter(other)),
            }
            at.next();
        }
        names.push(String::from(unversioned(at.as_str())));
        for part in parts {
            // `_b` after the first part is a letter, too.
            names.push(String::from(unversioned(part)));
        }
        Ok(Self::new(names, enabled))
    }

    /// From a list of names (`riscv,isa-extensions`).
    pub fn from_list<'a>(names: impl IntoIterator<Item = &'a str>, enabled: Enabled) -> Self {
        let names = names.into_iter().map(str::to_ascii_lowercase).collect();
        Self::new(names, enabled)
    }

    fn new(names: Vec<String>, enabled: Enabled) -> Self {
        let mut all: Vec<String> = Vec::new();
        let mut add = |name: &str| {
            let new = !all.iter().any(|other| other == name);
            if new && !name.is_empty() && allowed(name, enabled) {
                all.push(String::from(name));
            }
        };
        for name in &names {
            if name == "g" {
                ["i", "m", "a", "f", "d", "zicsr", "zifencei"]
                    .into_iter()
                    .for_each(&mut add);
            } else {
                add(name);
            }
        }
        let place = |name: &str| match name.len() {
            1 => LETTERS.find(name).unwrap_or(LETTERS.len()),
            _ => LETTERS.len(),
        };
        // Stable: longer names keep their order.
        all.sort_by_key(|name| place(name));
        Self { extensions: all }
    }

    /// `riscv,isa-extensions`.
    pub fn extensions(&self) -> impl Iterator<Item = &str> {
        self.extensions.iter().map(String::as_str)
    }

    /// `riscv,isa-base`.
    pub const BASE: &'static str = "rv64i";

    /// `riscv,isa`.
    pub fn string(&self) -> String {
        let mut isa = String::from("rv64");
        for name in self.extensions() {
            if name.len() > 1 {
                isa.push('_');
            }
            isa.push_str(name);
        }
        isa
    }

    /// Whether it has extension `name`.
    pub fn has(&self, name: &str) -> bool {
        self.extensions().any(|other| other == name)
    }
}

/// A name without its version: `zicsr2p0` is `zicsr`. A name may end in digits of its own
/// (`zvl128b`, `zic64b` do not; `ssu64xl` neither), so a version is what has a `p`.
fn unversioned(name: &str) -> &str {
    let digit = |c: char| c.is_ascii_digit();
    let major = name.trim_end_matches(digit);
    if major.len() == name.len() {
        return name;
    }
    match major.strip_suffix('p') {
        Some(rest) if rest.ends_with(digit) => rest.trim_end_matches(digit),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: Enabled = Enabled {
        float: true,
        vector: true,
        sstc: true,
        zicbom: true,
        zicboz: true,
        svpbmt: true,
    };

    /// QEMU's `-cpu rv64`.
    const RV64: &str = "rv64imafdch_zicbom_zicbop_zicboz_ziccamoa_ziccif_zicclsm_ziccrse_zicntr_zicsr_zifencei_zihintntl_zihintpause_zihpm_zmmul_za64rs_zaamo_zalrsc_zawrs_zfa_zca_zcd_zba_zbb_zbc_zbs_shcounterenw_shgatpa_shtvala_shvsatpa_shvstvala_shvstvecd_ssccptr_sscounterenw_sstc_sstvala_sstvecd_ssu64xl_svadu_svvptc";

    #[test]
    fn a_host_without_what_is_its_own() {
        let guest = GuestIsa::from_string(RV64, ALL).unwrap();
        assert_eq!(
            guest.string(),
            "rv64imafdc_zicbom_zicbop_zicboz_ziccamoa_ziccif_zicclsm_ziccrse_zicntr_zicsr_zifencei_zihintntl_zihintpause_zmmul_za64rs_zaamo_zalrsc_zawrs_zfa_zca_zcd_zba_zbb_zbc_zbs_sscounterenw_sstc_sstvala_sstvecd_ssu64xl_svvptc"
        );
        assert!(!guest.has("h") && !guest.has("zihpm") && !guest.has("svadu"));
    }

    #[test]
    fn what_is_not_enabled_is_not_there() {
        let isa = "rv64imafdcvh_zicbom_zicboz_zvl128b_zve64d_sstc_svpbmt";
        let with = |enabled| GuestIsa::from_string(isa, enabled).unwrap().string();
        assert_eq!(with(Enabled::default()), "rv64imac");
        assert_eq!(
            with(ALL),
            "rv64imafdcv_zicbom_zicboz_zvl128b_zve64d_sstc_svpbmt"
        );
    }

    #[test]
    fn both_forms_say_the_same() {
        let list = RV64["rv64imafdch_".len()..].split('_');
        let list = ["i", "m", "a", "f", "d", "c", "h"].into_iter().chain(list);
        let from_list = GuestIsa::from_list(list, ALL);
        let from_string = GuestIsa::from_string(RV64, ALL).unwrap();
        assert_eq!(from_list, from_string);
        assert_eq!(from_list.extensions().take(7).last(), Some("zicbom"));
    }

    #[test]
    fn old_ways_of_writing_it() {
        for (isa, expected) in [
            ("rv64gc", "rv64imafdc_zicsr_zifencei"),
            ("RV64IMAFDC_Zicsr", "rv64imafdc_zicsr"),
            (
                "rv64i2p1_m2p0_a2p1_zicsr2p0_zifencei2p0",
                "rv64ima_zicsr_zifencei",
            ),
            ("rv64i2p1m2a2p1", "rv64ima"),
            ("rv64imac_b", "rv64imacb"),
            ("rv64imaczicsr_zba", "rv64imac_zicsr_zba"),
            ("rv64imac_xventanacondops_sstc", "rv64imac_sstc"),
            ("rv64imafdqch", "rv64imafdc"),
            ("rv64iamc_zba_zba", "rv64imac_zba"),
            ("rv64imac__", "rv64imac"),
        ] {
            let guest = GuestIsa::from_string(isa, ALL).unwrap();
            assert_eq!(guest.string(), expected, "{isa}");
        }
        assert_eq!(
            GuestIsa::from_string("rv32imac", ALL),
            Err(IsaError::NotRv64)
        );
        assert_eq!(
            GuestIsa::from_string("rv64i\u{e4}", ALL),
            Err(IsaError::Letter('\u{e4}'))
        );
        assert_eq!(
            GuestIsa::from_string("rv64im,a", ALL),
            Err(IsaError::Letter(','))
        );
    }

    #[test]
    fn the_list_of_names_has_its_order() {
        assert!(NAMES.is_sorted());
    }

    proptest! {
        /// A guest's ISA is its own guest's: nothing is lost or added by another round.
        #[test]
        fn it_can_be_read_again(isa in "rv64i?m?a?[fdqchbv]{0,6}(_(zicsr|zba|svadu|sstc|smaia|zvl256b|zic64b2p0|x[a-z]{1,5})){0,6}") {
            let guest = GuestIsa::from_string(&isa, ALL).unwrap();
            prop_assert_eq!(GuestIsa::from_string(&guest.string(), ALL), Ok(guest.clone()));
            prop_assert_eq!(GuestIsa::from_list(guest.extensions(), ALL), guest);
        }

        #[test]
        fn any_string(isa: String, bytes in "rv64[a-z0-9_]{0,40}") {
            let _ = GuestIsa::from_string(&isa, ALL);
            let _ = GuestIsa::from_string(&bytes, ALL);
        }
    }
}
