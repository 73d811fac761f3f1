//! From the first Rust to the hypervisor's `main`: the machine is read from its device tree, and
//! there is a console.

use core::{fmt, slice};

use memory_addr::{PhysAddr, VirtAddr};
use spin::Once;

use crate::cpu::MAX_CPUS;
use crate::drivers::mmio::Mmio;
use crate::drivers::uart::Uart;
use crate::machine::{self, Fdt, Machine, MachineError, Region, fdt};
use crate::paging::{self, PagingError};
use crate::{arch, console, cpu, image, power};

/// What the boot loader and the machine hand over.
#[derive(Debug)]
pub struct BootInfo {
    /// The machine.
    pub machine: Machine,
    /// The command line; empty if there is none.
    pub bootargs: &'static str,
    /// The memory the image takes, embedded bundle and .bss included.
    pub image: Region,
    /// The memory of the device tree.
    pub fdt_region: Region,
    /// The device tree.
    pub fdt: &'static [u8],
    /// The memory of the ramdisk that the boot loader handed over: in RAM, outside of image and
    /// device tree.
    pub initrd: Option<Region>,
    /// The memory of the embedded bundle, which is part of the image's.
    pub embedded: Option<Region>,
}

impl BootInfo {
    /// The boot bundle, mapped read-only: the ramdisk, or else what is embedded in the image;
    /// empty if there is neither. Whoever owns RAM must leave both alone.
    pub fn bundle(&self) -> Result<&'static [u8], PagingError> {
        let Some(region) = self.initrd.or(self.embedded) else {
            return Ok(&[]);
        };
        let (pa, len) = (
            PhysAddr::from_usize(region.base as usize),
            region.size as usize,
        );
        let va = paging::map_readonly(pa, len)?;
        // SAFETY: mapped just now, and never unmapped; nothing writes to it, as it belongs to
        // nobody else (the ramdisk was checked to be RAM outside of what the hypervisor uses).
        Ok(unsafe { bytes(va, len) })
    }
}

/// Why the machine can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BootError {
    /// The boot loader gave no device tree, or it lies outside of what can be mapped.
    NoDeviceTree(PhysAddr),
    /// The device tree is wrong.
    Machine(MachineError),
    /// Something could not be mapped.
    Paging(PagingError),
    /// The ramdisk is not in RAM, or overlaps the image or the device tree.
    Initrd(Region),
    /// The boot CPU is not among the first [`MAX_CPUS`] of the device tree.
    BootCpu(u64),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDeviceTree(pa) => write!(f, "no device tree at {:#x}", pa.as_usize()),
            Self::Machine(error) => write!(f, "device tree: {error}"),
            Self::Paging(error) => error.fmt(f),
            Self::Initrd(Region { base, size }) => {
                write!(
                    f,
                    "the ramdisk, {size:#x} bytes at {base:#x}, is not in free RAM"
                )
            }
            Self::BootCpu(id) => {
                write!(
                    f,
                    "the boot CPU (id {id:#x}) is not among the first {MAX_CPUS}"
                )
            }
        }
    }
}

impl From<MachineError> for BootError {
    fn from(error: MachineError) -> Self {
        Self::Machine(error)
    }
}

impl From<PagingError> for BootError {
    fn from(error: PagingError) -> Self {
        Self::Paging(error)
    }
}

static INFO: Once<BootInfo> = Once::new();

/// What was found at boot.
///
/// # Panics
/// Before `main`.
pub fn info() -> &'static BootInfo {
    INFO.get().expect("boot is over")
}

/// # Safety
/// `len` bytes at `va` are mapped for ever, and nobody writes to them.
unsafe fn bytes(va: VirtAddr, len: usize) -> &'static [u8] {
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(core::ptr::with_exposed_provenance(va.as_usize()), len) }
}

/// The first Rust, on the boot CPU: `fdt` is what the boot loader passed; `obstacle` says why the
/// hypervisor can't run on this CPU, if it can't. Then only a console is looked for, to say so.
pub(crate) fn enter(fdt: PhysAddr, obstacle: Option<&'static str>) -> ! {
    if let Some(firmware) = arch::firmware::console() {
        console::set_firmware(firmware);
    }
    let blob = match device_tree(fdt) {
        Ok(blob) => blob,
        // Nobody hears it where the firmware is no console.
        Err(error) => stop(format_args!("axhv: can't boot: {error}\n")),
    };
    let tree = Fdt::new(blob);
    if let Ok(tree) = &tree {
        arch::firmware::init(tree);
        early_console(tree);
    }
    if let Some(obstacle) = obstacle {
        stop(format_args!("axhv: {obstacle}\n"));
    }
    match tree
        .map_err(BootError::from)
        .and_then(|tree| prepare(fdt, blob, &tree))
    {
        Ok(info) => arch::boot::main(INFO.call_once(|| info)),
        Err(error) => stop(format_args!("axhv: can't boot: {error}\n")),
    }
}

/// Says why there is no hypervisor, and powers off.
fn stop(why: fmt::Arguments<'_>) -> ! {
    console::write(why);
    power::off(power::STATUS_NOT_BOOTED)
}

/// Maps the device tree: first its header, for its size.
fn device_tree(pa: PhysAddr) -> Result<&'static [u8], BootError> {
    if pa.as_usize() == 0 || !pa.as_usize().is_multiple_of(8) {
        return Err(BootError::NoDeviceTree(pa));
    }
    let header = paging::map_readonly(pa, 8)?;
    // SAFETY: mapped; the boot loader made the memory and is gone. It stays reserved.
    let header = unsafe { bytes(header, 8) };
    let header = header.try_into().map_err(|_| BootError::NoDeviceTree(pa))?;
    let len = fdt::size_of_blob(header)?;
    let va = paging::map_readonly(pa, len)?;
    // SAFETY: as above.
    Ok(unsafe { bytes(va, len) })
}

/// Sets up the console, if there is one that can be used; if not, nobody could be told. What
/// matters later, `prepare` finds again.
fn early_console(tree: &Fdt<'_>) {
    let Ok(Some(found)) = machine::console(tree) else {
        return;
    };
    let pa = PhysAddr::from_usize(found.regs.base as usize);
    let len = (found.regs.size as usize).min(paging::PAGE);
    let Ok(va) = paging::map_device(pa, len) else {
        return;
    };
    if !va.as_usize().is_multiple_of(8) {
        return;
    }
    // SAFETY: mapped as Device, for ever, and aligned; a UART's registers reach no memory.
    let regs = unsafe { Mmio::new(va.as_usize(), len) };
    if let Some(uart) = Uart::new(found.uart, regs) {
        uart.init();
        console::set(uart);
    }
}

fn prepare(pa: PhysAddr, blob: &'static [u8], tree: &Fdt<'static>) -> Result<BootInfo, BootError> {
    let machine = Machine::new(tree, arch::ARCHITECTURE)?;
    arch::configure(&machine);
    let id = arch::cpu::id();
    if !cpu::init_boot_cpu(machine.cpus.list.iter().map(|cpu| cpu.id))? {
        return Err(BootError::BootCpu(id));
    }
    paging::set_ram(&machine);
    let error = BootError::NoDeviceTree(pa);
    let fdt_region = Region::new(pa.as_usize() as u64, blob.len() as u64).ok_or(error)?;
    let image = image::region().ok_or(error)?;
    if let Some(initrd) = &machine.initrd {
        let holds = |bank: &Region| bank.base <= initrd.base && initrd.end() <= bank.end();
        if !machine.memory.iter().any(holds)
            || initrd.overlaps(&image)
            || initrd.overlaps(&fdt_region)
        {
            return Err(BootError::Initrd(*initrd));
        }
    }
    let initrd = machine.initrd;
    Ok(BootInfo {
        machine,
        bootargs: machine::bootargs(tree)?,
        image,
        fdt_region,
        fdt: blob,
        initrd,
        embedded: image::bundle(),
    })
}
