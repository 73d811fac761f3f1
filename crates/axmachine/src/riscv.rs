//! What the hypervisor has to know of a RISC-V machine: its harts' extensions, the PLIC, the
//! frequency of `time`. After the bindings `riscv/cpus`, `riscv/extensions` and
//! `sifive,plic-1.0.0` of the Linux kernel.

use arrayvec::ArrayVec;
use bitflags::bitflags;

use super::{
    Cpus, Fdt, MAX_CPUS, MachineError, Node, Region, cpus,
    irq::{MAX_SOURCE, PLIC},
    regs::take,
};

/// A hart's interrupt input for supervisor external interrupts, as `interrupts-extended` of the
/// PLIC names it: the number of the interrupt in `scause`.
const SUPERVISOR_EXTERNAL: u64 = 9;

bitflags! {
    /// The extensions that the hypervisor makes a difference for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Extensions: u64 {
        /// Hypervisor.
        const H = 1 << 0;
        /// Atomics.
        const A = 1 << 1;
        /// Compressed instructions.
        const C = 1 << 2;
        /// Floating point, single precision.
        const F = 1 << 3;
        /// Floating point, double precision.
        const D = 1 << 4;
        /// Vectors.
        const V = 1 << 5;
        /// Cache-block management.
        const ZICBOM = 1 << 6;
        /// Cache-block zero.
        const ZICBOZ = 1 << 7;
        /// Cache-block prefetch.
        const ZICBOP = 1 << 8;
        /// The entropy source.
        const ZKR = 1 << 9;
        /// `stimecmp` and `vstimecmp`.
        const SSTC = 1 << 10;
        /// State-enable registers.
        const SMSTATEEN = 1 << 11;
        /// Memory types in page tables.
        const SVPBMT = 1 << 12;
        /// Finer invalidation.
        const SVINVAL = 1 << 13;
        /// Naturally aligned groups of pages.
        const SVNAPOT = 1 << 14;
        /// Hardware sets the accessed and dirty bits.
        const SVADU = 1 << 15;
        /// Entries made valid are seen without a fence, in bounded time.
        const SVVPTC = 1 << 16;
        /// The Advanced Interrupt Architecture at supervisor level.
        const SSAIA = 1 << 17;
        /// Counter overflow and filtering.
        const SSCOFPMF = 1 << 18;
        /// Pointer masking for the next less privileged mode.
        const SSNPM = 1 << 19;
        /// Waiting on a reservation set.
        const ZAWRS = 1 << 20;
        /// Shadow stacks.
        const ZICFISS = 1 << 21;
        /// Landing pads.
        const ZICFILP = 1 << 22;
    }
}

/// Their names in the device tree.
const NAMES: [(&str, Extensions); 25] = [
    ("h", Extensions::H),
    ("a", Extensions::A),
    ("c", Extensions::C),
    ("f", Extensions::F),
    ("d", Extensions::D),
    ("v", Extensions::V),
    ("zicbom", Extensions::ZICBOM),
    ("zicboz", Extensions::ZICBOZ),
    ("zicbop", Extensions::ZICBOP),
    ("zkr", Extensions::ZKR),
    ("sstc", Extensions::SSTC),
    ("smstateen", Extensions::SMSTATEEN),
    ("ssstateen", Extensions::SMSTATEEN),
    ("svpbmt", Extensions::SVPBMT),
    ("svinval", Extensions::SVINVAL),
    ("svnapot", Extensions::SVNAPOT),
    ("svadu", Extensions::SVADU),
    ("svvptc", Extensions::SVVPTC),
    ("ssaia", Extensions::SSAIA),
    ("sscofpmf", Extensions::SSCOFPMF),
    ("ssnpm", Extensions::SSNPM),
    ("zawrs", Extensions::ZAWRS),
    ("zicfiss", Extensions::ZICFISS),
    ("zicfilp", Extensions::ZICFILP),
    ("g", Extensions::A.union(Extensions::F).union(Extensions::D)),
];

impl Extensions {
    /// The one of this name; nothing if it makes no difference here.
    fn named(name: &str) -> Self {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map_or(Self::empty(), |(_, extension)| *extension)
    }

    /// Those of an ISA string, the older form (`riscv,isa`): `rv64`, single letters, then names
    /// with underscores between them. Versions (`2p1`) are skipped.
    fn parse(isa: &str) -> Self {
        let mut all = Self::empty();
        let Some(isa) = isa.strip_prefix("rv64") else {
            return all;
        };
        let mut parts = isa.split('_');
        let first = parts.next().unwrap_or("");
        // From the first letter that begins longer names there are no single ones any more.
        let long = first.find(['s', 'x', 'z']).unwrap_or(first.len());
        let (letters, name) = first.split_at_checked(long).unwrap_or((first, ""));
        let mut after_digit = false;
        for (at, letter) in letters.char_indices() {
            let version = letter.is_ascii_digit() || (letter == 'p' && after_digit);
            after_digit = letter.is_ascii_digit();
            if !version {
                let end = at + letter.len_utf8();
                all |= Self::named(letters.get(at..end).unwrap_or(""));
            }
        }
        for name in parts.chain([name]) {
            let end = name.trim_end_matches(|c: char| c.is_ascii_digit());
            // `zba1p0`, but not `zve64d` or `zvl128b`, which end with a letter.
            let name = end
                .strip_suffix('p')
                .map(|end| end.trim_end_matches(|c: char| c.is_ascii_digit()))
                .filter(|base| base.len() + 1 < end.len() && end.len() < name.len())
                .unwrap_or(name);
            all |= Self::named(name);
        }
        all
    }
}

/// A hart's largest translation mode. It has the smaller ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mmu {
    /// 39 bits of virtual address.
    Sv39,
    /// 48 bits.
    Sv48,
    /// 57 bits.
    Sv57,
}

/// What a hart can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hart {
    /// Its extensions.
    pub extensions: Extensions,
    /// Its largest translation mode; `None` if not said.
    pub mmu: Option<Mmu>,
    /// Bytes that cache-block management acts on.
    pub cbom_block: Option<u32>,
    /// Bytes that CBO.ZERO zeroes.
    pub cboz_block: Option<u32>,
}

/// The interrupt controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plic {
    /// Its registers.
    pub regs: Region,
    /// The last source; the first is 1.
    pub sources: u32,
    /// For each of the machine's CPUs its context for supervisor interrupts, if it has one.
    pub contexts: ArrayVec<Option<u32>, MAX_CPUS>,
}

/// What is RISC-V's about a machine.
#[derive(Clone, Debug)]
pub struct Riscv {
    /// How fast `time` counts, in Hz.
    pub timebase: u32,
    /// What each of the machine's CPUs can do.
    pub harts: ArrayVec<Hart, MAX_CPUS>,
    /// The interrupt controller.
    pub plic: Plic,
}

impl Riscv {
    /// The extensions that all harts have.
    pub fn common(&self) -> Extensions {
        self.harts
            .iter()
            .fold(Extensions::all(), |all, hart| all & hart.extensions)
    }
}

/// Whether a tree has RISC-V CPUs.
pub(super) fn has_cpus(fdt: &Fdt<'_>) -> bool {
    cpus::nodes(fdt).into_iter().flatten().any(|node| {
        node.is_compatible("riscv")
            || node.property("riscv,isa").is_some()
            || node.property("riscv,isa-base").is_some()
    })
}

pub(super) fn read(fdt: &Fdt<'_>, cpus: &Cpus) -> Result<Riscv, MachineError> {
    let none = MachineError::NoNode { what: "/cpus/cpu" };
    let mut harts = ArrayVec::new();
    let mut inputs = ArrayVec::<Option<u32>, MAX_CPUS>::new();
    // The first ones, as those of `cpus`: these are in it.
    for node in cpus::nodes(fdt).ok_or(none)?.take(cpus.list.len()) {
        harts.push(hart(&node)?);
        let mut below = node.children();
        let input = below.find(|child| child.is_compatible("riscv,cpu-intc"));
        inputs.push(match input {
            Some(input) => input.u32("phandle")?,
            None => None,
        });
    }
    Ok(Riscv {
        timebase: timebase(fdt)?,
        harts,
        plic: plic(fdt, &inputs)?,
    })
}

fn timebase(fdt: &Fdt<'_>) -> Result<u32, MachineError> {
    const PROPERTY: &str = "timebase-frequency";
    let cpus = fdt
        .find("/cpus")
        .ok_or(MachineError::NoNode { what: "/cpus" })?;
    let frequency = cpus.u64(PROPERTY)?.ok_or(MachineError::Missing {
        node: cpus.offset(),
        property: PROPERTY,
    })?;
    match u32::try_from(frequency) {
        Ok(frequency @ 1..) => Ok(frequency),
        _ => Err(MachineError::Value {
            node: cpus.offset(),
            property: PROPERTY,
            value: frequency,
        }),
    }
}

fn hart(node: &Node<'_>) -> Result<Hart, MachineError> {
    let block = |property| match node.u32(property)? {
        // At least what a pointer has, at most a page: a stride for loops over memory.
        Some(size) if !size.is_power_of_two() || !(8..=4096).contains(&size) => {
            Err(MachineError::Value {
                node: node.offset(),
                property,
                value: size.into(),
            })
        }
        size => Ok(size),
    };
    // The newer form wins where both are there.
    let extensions = if node.property("riscv,isa-extensions").is_some() {
        node.strings("riscv,isa-extensions")
            .fold(Extensions::empty(), |all, name| {
                all | Extensions::named(name)
            })
    } else {
        Extensions::parse(node.string("riscv,isa").unwrap_or(""))
    };
    Ok(Hart {
        extensions,
        mmu: match node.string("mmu-type") {
            Some("riscv,sv39") => Some(Mmu::Sv39),
            Some("riscv,sv48") => Some(Mmu::Sv48),
            Some("riscv,sv57") => Some(Mmu::Sv57),
            _ => None,
        },
        cbom_block: block("riscv,cbom-block-size")?,
        cboz_block: block("riscv,cboz-block-size")?,
    })
}

/// The PLIC. `inputs` are the phandles of the harts' own controllers. The contexts are those of
/// `interrupts-extended`, one entry for each: where its output goes, or all ones if nowhere.
fn plic(fdt: &Fdt<'_>, inputs: &[Option<u32>]) -> Result<Plic, MachineError> {
    let node = fdt
        .compatible(&PLIC)
        .ok_or(MachineError::NoNode { what: PLIC[0] })?;
    let missing = |property| MachineError::Missing {
        node: node.offset(),
        property,
    };
    let regs = *node.regs()?.first().ok_or(missing("reg"))?;
    if !regs.base.is_multiple_of(0x1000) {
        return Err(MachineError::Value {
            node: node.offset(),
            property: "reg",
            value: regs.base,
        });
    }
    let sources = node.u32("riscv,ndev")?.ok_or(missing("riscv,ndev"))?;
    if !(1..=MAX_SOURCE).contains(&sources.into()) {
        return Err(MachineError::Value {
            node: node.offset(),
            property: "riscv,ndev",
            value: sources.into(),
        });
    }
    const OUTPUTS: &str = "interrupts-extended";
    let mut outputs = node.property(OUTPUTS).ok_or(missing(OUTPUTS))?;
    let mut contexts: ArrayVec<Option<u32>, MAX_CPUS> = inputs.iter().map(|_| None).collect();
    let bad = node.bad_length(OUTPUTS, outputs.len());
    for context in 0.. {
        if outputs.is_empty() {
            break;
        }
        // A hart's own controller has one cell for an interrupt.
        let (to, input) = take(&mut outputs, 1)
            .zip(take(&mut outputs, 1))
            .ok_or(bad)?;
        if input != SUPERVISOR_EXTERNAL {
            continue;
        }
        let hart = inputs
            .iter()
            .position(|phandle| phandle.map(u64::from) == Some(to));
        if let Some(slot) = hart.and_then(|hart| contexts.get_mut(hart)) {
            *slot = Some(context);
        }
    }
    Ok(Plic {
        regs,
        sources,
        contexts,
    })
}
