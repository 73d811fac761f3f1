//! Descriptions that are wrong in one word: whatever passes the checks of a machine can be built
//! on it as a VM, and what is built has what it was given for itself; all else is refused where the
//! word is.

mod common;
#[path = "../../axvmconfig/tests/mutations/mod.rs"]
mod mutations;

use std::alloc::{Layout, alloc_zeroed};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use axaddrspace::{GuestPhysRange, HostPhysAddr, HostVirtAddr, PagingHandler};
use axerrno::AxResult;
use axvm::{AxVM, AxVMHal};
use axvmconfig::{
    Arch, AxVMConfig, AxVMCrateConfig, BoardDevice, BoardFacts, Diagnostics, VmMemMappingType,
    check_board, parse, resolve_devices,
};
use common::vcpu::ScriptVCpu;
use mutations::{configs, disjoint, mutated, points_at, replacement};
use proptest::prelude::*;

/// The machine's RAM, what it reserves of it, and what the hypervisor has.
const RAM: Range<usize> = 0x8000_0000..0xc000_0000;
const RESERVED: Range<usize> = 0xc000_0000..0xc100_0000;
const OWN: Range<usize> = 0x8000_0000..0x8040_0000;
const FRAME: usize = 4096;

/// A machine with 1 GiB of RAM that nobody touches: only the tables are memory.
struct Host;

thread_local! {
    /// RAM that is taken: start, end.
    static TAKEN: RefCell<BTreeMap<usize, usize>> = RefCell::default();
    /// Memory of tables, for the next one.
    static TABLES: RefCell<Vec<(usize, HostPhysAddr)>> = RefCell::default();
}

fn take(range: Range<usize>) -> bool {
    TAKEN.with_borrow_mut(|taken| {
        let free = RAM.start <= range.start
            && range.end <= RAM.end
            && !taken
                .iter()
                .any(|(start, end)| *start < range.end && range.start < *end);
        if free {
            taken.insert(range.start, range.end);
        }
        free
    })
}

fn give_back(base: HostPhysAddr, size: usize) {
    let base = base.as_usize();
    let taken = TAKEN.with_borrow_mut(|taken| taken.remove(&base));
    assert_eq!(taken, Some(base + size), "it was out");
}

impl PagingHandler for Host {
    fn alloc_frames(count: usize, align: usize) -> Option<HostPhysAddr> {
        let size = count * FRAME;
        // Free ranges start where one that is taken ends.
        let ends: Vec<_> = TAKEN.with_borrow(|taken| taken.values().copied().collect());
        let starts = ends.into_iter().map(|end| end.next_multiple_of(align));
        let base = starts
            .into_iter()
            .find(|at| at.checked_add(size).is_some_and(|end| take(*at..end)))?;
        Some(base.into())
    }

    fn dealloc_frames(base: HostPhysAddr, count: usize) {
        give_back(base, count * FRAME);
    }

    fn phys_to_virt(paddr: HostPhysAddr) -> HostVirtAddr {
        paddr.as_usize().into()
    }

    fn alloc_table(count: usize) -> Option<HostPhysAddr> {
        let size = count * FRAME;
        let again = TABLES.with_borrow_mut(|tables| {
            let at = tables.iter().position(|(s, _)| *s == size)?;
            Some(tables.swap_remove(at).1)
        });
        let layout = Layout::from_size_align(size, size).ok()?;
        let base = match again {
            Some(base) => {
                // SAFETY: such memory was taken below, and nobody else has it.
                unsafe { (base.as_usize() as *mut u8).write_bytes(0, size) };
                base
            }
            // SAFETY: the size is not 0.
            None => unsafe { alloc_zeroed(layout) as usize }.into(),
        };
        Some(base)
    }

    fn dealloc_table(base: HostPhysAddr, count: usize) {
        TABLES.with_borrow_mut(|tables| tables.push((count * FRAME, base)));
    }

    fn publish_tables() {}

    fn flush_stage2(_: u16, _: Option<GuestPhysRange>) {}

    fn clean_to_poc(_: HostPhysAddr, _: usize) {}

    fn sync_icache(_: HostPhysAddr, _: usize) {}

    fn with_window<R>(_: HostPhysAddr, _: usize, _: impl FnOnce(*mut u8) -> R) -> R {
        panic!("nothing is loaded")
    }
}

impl AxVMHal for Host {
    type PagingHandler = Self;

    fn alloc_memory_region_at(base: HostPhysAddr, size: usize) -> bool {
        take(base.as_usize()..base.as_usize() + size)
    }

    fn dealloc_memory_region_at(base: HostPhysAddr, size: usize) {
        give_back(base, size);
    }

    fn virt_to_phys(vaddr: HostVirtAddr) -> HostPhysAddr {
        vaddr.as_usize().into()
    }

    fn current_time_nanos() -> u64 {
        0
    }

    fn current_vm_id() -> usize {
        usize::MAX
    }

    fn current_vcpu_id() -> usize {
        usize::MAX
    }

    fn current_pcpu_id() -> usize {
        0
    }

    fn vcpu_resides_on(_: usize, _: usize) -> AxResult<usize> {
        Ok(0)
    }

    fn inject_irq_to_vcpu(_: usize, _: usize, _: usize) -> AxResult {
        Ok(())
    }
}

/// What goes to the limits of the machine, besides the files under `configs/vms`.
const EVERYTHING: &str = r#"
[base]
id = 9
name = "everything"
cpu_num = 2
phys_cpu_ids = [0x100, 1]
phys_cpu_sets = [0b11, 0b1000]
[kernel]
entry_point = 0x4020_0000
kernel_path = "kernel"
kernel_load_addr = 0x4020_0000
dtb_load_addr = 0x4000_0000
ramdisk_path = "ramdisk"
ramdisk_load_addr = 0xa000_0000
memory_regions = [
    { gpa = 0x4000_0000, size = "64MiB", flags = "rx" },
    { size = "512MiB" },
    { gpa = 0xa000_0000, size = "16MiB", map_type = "identical" },
    { gpa = 0xc080_0000, size = "8MiB", map_type = "reserved" },
]
[devices]
emu_devices = [
    { type = "console" },
    { type = "console", base_gpa = 0x0a00_0000, irq_id = 987 },
    { type = "gicr", base_gpa = 0x0b00_0000 },
]
passthrough_devices = [
    { path = "rtc0" },
    ["gpio", 0x0c00_0000, 0x0903_0000, 0x1000, 7],
    { name = "ethernet", base_hpa = 0x0905_0000, length = "8KiB", irq_id = 9, dma = "unprotected" },
]
"#;

fn device(path: &str, registers: Range<usize>, spis: &[u32]) -> BoardDevice {
    BoardDevice {
        path: path.into(),
        registers: vec![registers],
        spis: spis.to_vec(),
        ..BoardDevice::default()
    }
}

/// Runs `f` with the machine's facts.
fn with_facts<R>(f: impl FnOnce(&BoardFacts<'_>) -> R) -> R {
    let mut uart = device("/pl011@9000000", 0x0900_0000..0x0900_1000, &[1]);
    uart.owned = true;
    let mut rtc = device("/pl031@9010000", 0x0901_0000..0x0901_1000, &[2]);
    rtc.alias = Some("rtc0".into());
    let mut ethernet = device("/ethernet@9050000", 0x0905_0000..0x0905_2000, &[9]);
    ethernet.dma = true;
    let devices = [
        uart,
        rtc,
        ethernet,
        device("/gpio@9030000", 0x0903_0000..0x0903_1000, &[7]),
        // QEMU's real-time clock on riscv64.
        device("/soc/rtc@101000", 0x10_1000..0x10_2000, &[11]),
    ];
    f(&BoardFacts {
        ram: &[RAM],
        reserved: &[RESERVED],
        hypervisor: &[OWN],
        hypervisor_spis: &[1],
        cpus: 4,
        address_bits: 40,
        devices: &devices,
        iommu: false,
    })
}

/// What `axvmconfig check --board` and the hypervisor do.
fn check(arch: Arch, text: &str) -> Result<AxVMCrateConfig, Diagnostics> {
    let mut config = parse(text, arch)?;
    with_facts(|facts| {
        let mut found = resolve_devices(&mut config, facts);
        for diagnostic in check_board(&config, facts).0 {
            found.push(diagnostic);
        }
        if found.has_errors() {
            Err(found)
        } else {
            Ok(config)
        }
    })
}

/// Builds the VM, and looks at what it got.
fn build(config: &AxVMCrateConfig) {
    // The hypervisor's own.
    TAKEN.with_borrow_mut(|taken| *taken = BTreeMap::from([(OWN.start, OWN.end)]));
    let vm = AxVM::<Host, ScriptVCpu>::build(AxVMConfig::from(config.clone()));
    let vm = vm.unwrap_or_else(|error| panic!("{error:?}: {config:?}"));
    let config = vm.config();
    let extent = |start: usize, size: usize| start..start + size;

    // The guest's side: every address means one thing.
    let whole = |range: GuestPhysRange| range.start.as_usize()..range.end.as_usize();
    let ram: Vec<_> = vm.ram().map(whole).collect();
    let emulated = config.emu_devices().iter();
    let emulated = emulated.map(|d| extent(d.base_gpa, d.length));
    let passed = config.pass_through_devices();
    let guest = passed.iter().map(|d| extent(d.base_gpa, d.length));
    let size: usize = ram.iter().map(ExactSizeIterator::len).sum();
    let all = ram.into_iter().chain(emulated).chain(guest);
    assert!(disjoint(all.collect()), "{config:?}");

    // The host's side: all RAM it has is its own, and nothing else is.
    let regions = config.memory_regions();
    assert_eq!(size, regions.iter().map(|r| r.size).sum::<usize>());
    let of_type = |map_type| regions.iter().filter(move |r| r.map_type == map_type);
    let reserved = of_type(VmMemMappingType::MapReserved).map(|r| extent(r.gpa, r.size));
    let reserved: Vec<_> = reserved.collect();
    let taken: Vec<_> =
        TAKEN.with_borrow(|taken| taken.iter().map(|(start, end)| *start..*end).collect());
    let from_ram: usize = taken.iter().map(ExactSizeIterator::len).sum();
    let from_reserved: usize = reserved.iter().map(ExactSizeIterator::len).sum();
    assert_eq!(from_ram - OWN.len() + from_reserved, size);
    for region in of_type(VmMemMappingType::MapIdentical) {
        let range = extent(region.gpa, region.size);
        assert!(
            taken
                .iter()
                .any(|t| t.start == range.start && t.end == range.end)
        );
    }
    let inside = |r: &Range<usize>| RESERVED.start <= r.start && r.end <= RESERVED.end;
    assert!(reserved.iter().all(inside));
    let host = passed.iter().map(|d| extent(d.base_hpa, d.length));
    let board = [RAM, RESERVED, extent(0x0900_0000, FRAME)];
    assert!(disjoint(host.chain(board).collect()), "{config:?}");

    // An interrupt has one source.
    let emulated = config.emu_devices().iter().filter_map(|d| d.irq_id);
    let lines = emulated.chain(config.pass_through_spis().iter().copied());
    let lines = lines.map(|line| extent(line as usize, 1));
    assert!(disjoint(lines.collect()), "{config:?}");
    assert!(!config.pass_through_spis().contains(&1), "the hypervisor's");

    let vcpus = config.get_vcpu_affinities_pcpu_ids();
    let ids = vcpus.iter().map(|(_, _, id)| extent(*id, 1));
    assert!(disjoint(ids.collect()), "{config:?}");
    assert_eq!(vm.vcpu_list().len(), vcpus.len());
    for (_, mask, _) in vcpus {
        assert!(mask.is_none_or(|mask| (1..16).contains(&mask)));
    }
    drop(vm);
    let left = TAKEN.with_borrow(|taken| taken.len());
    assert_eq!(left, 1, "it gives everything back");
}

fn good() -> &'static [(Arch, String)] {
    static GOOD: std::sync::OnceLock<Vec<(Arch, String)>> = std::sync::OnceLock::new();
    GOOD.get_or_init(|| {
        let mut good = configs();
        good.push((Arch::Aarch64, EVERYTHING.to_owned()));
        good
    })
}

#[test]
fn good_descriptions_are_built() {
    for (arch, text) in good() {
        match check(*arch, text) {
            Ok(config) => build(&config),
            Err(errors) => panic!("{errors:?}\n{text}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn one_word_is_wrong(
        file: prop::sample::Index,
        token: prop::sample::Index,
        new in replacement(),
    ) {
        let (arch, text) = file.get(good());
        let (text, token) = mutated(text, token, &new);
        match check(*arch, &text) {
            Ok(config) => build(&config),
            Err(errors) => prop_assert!(
                points_at(&text, &errors, &token),
                "`{new}` at {token:?}: {errors:?}\n{text}"
            ),
        }
    }
}
