//! A VM, and how it is built from its configuration.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU8;

use axaddrspace::{AddrSpace, GuestPhysAddr, GuestPhysRange, MappingFlags, Vmids};
use axdevice::{Bus, BusBuilder, ConsolePort, IrqLine, IrqLines, MmioDevice, Ns16550, Pl011};
use axerrno::{AxError, AxResult};
use axvcpu::{ArchVm, AxArchVCpu, ConsoleModel, IrqchipRegion, IrqchipRole, VCpuSync, VmSetup};
use axvmconfig::{
    AxVMConfig, EmulatedDeviceConfig, EmulatedDeviceType, VMInterruptMode, VmMemMappingType,
};
use spin::Mutex;

use crate::memory::{SharedMemory, VmMemory};
use crate::{AxVCpu, AxVMHal, StopCause, VmError, VmStatus};

/// Most vCPUs of a VM: masks of vCPUs have 64 bits.
const MAX_VCPUS: usize = 64;

/// VMIDs of this machine: 8 bits, which every CPU has. More VMs than that don't fit in memory.
static VMIDS: Vmids = Vmids::new(8);

/// A virtual machine.
///
/// After [`new`](Self::new) everything but its status, its fault and what is inside its vCPUs,
/// devices and memory is immutable, and so read by all CPUs without a lock.
pub struct AxVM<H: AxVMHal, V: AxArchVCpu> {
    pub(crate) config: AxVMConfig,
    pub(crate) vcpus: Vec<AxVCpu<V>>,
    pub(crate) sync: Arc<[VCpuSync]>,
    pub(crate) arch: Arc<V::Vm>,
    pub(crate) bus: Arc<Bus>,
    console: Option<Arc<dyn ConsolePort>>,
    /// A [`VmStatus`].
    pub(crate) status: AtomicU8,
    /// Why it stops: the first to say so wins.
    pub(crate) cause: Mutex<Option<StopCause>>,
    /// Where vCPU 0 starts, and its argument: known once the images are loaded.
    pub(crate) boot: Mutex<Option<(GuestPhysAddr, usize)>>,
    pub(crate) memory: Arc<VmMemory<H, V::Stage2>>,
}

impl<H: AxVMHal, V: AxArchVCpu> AxVM<H, V> {
    /// Builds a VM: its vCPUs from count and affinity, an empty address space, the memory regions
    /// by their map types, emulated and passthrough devices, the interrupt mode. Nothing runs yet,
    /// and its RAM holds what its last owner left: see [`clear_ram`](Self::clear_ram).
    pub fn new(config: AxVMConfig) -> AxResult<Arc<Self>> {
        Self::build(config).map_err(AxError::from)
    }

    /// [`new`](Self::new), with the offending values in the error.
    pub fn build(config: AxVMConfig) -> Result<Arc<Self>, VmError> {
        let affinities = config.get_vcpu_affinities_pcpu_ids();
        if affinities.is_empty() || affinities.len() > MAX_VCPUS {
            return Err(VmError::CpuCount(affinities.len()));
        }
        if config.memory_regions().is_empty() {
            return Err(VmError::NoMemoryRegion);
        }
        if !config.unresolved_devices.is_empty() {
            return Err(VmError::UnresolvedDevice);
        }
        let sync: Arc<[VCpuSync]> = affinities.iter().map(|_| VCpuSync::new()).collect();
        let memory = Arc::new(build_memory::<H, V>(&config)?);
        let arch = build_arch::<H, V>(&config, &affinities, sync.clone(), memory.clone())?;
        let mut vcpus = Vec::with_capacity(affinities.len());
        for &(id, mask, phys_id) in &affinities {
            let vcpu = V::new(&arch, id).map_err(VmError::arch)?;
            vcpus.push(AxVCpu::new(id, phys_id, mask, vcpu));
        }
        let (bus, console) = build_devices::<V>(&config, &arch)?;
        {
            let space = memory.space.lock();
            arch.set_stage2(space.root(), space.vmid());
        }
        arch.attach_bus(&bus);
        if let Some(console) = &console {
            arch.attach_console(console);
        }
        Ok(Arc::new(Self {
            config,
            vcpus,
            sync,
            arch,
            bus,
            console,
            status: AtomicU8::new(VmStatus::Created as u8),
            cause: Mutex::new(None),
            boot: Mutex::new(None),
            memory,
        }))
    }

    /// Its number.
    pub fn id(&self) -> usize {
        self.config.id()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.config.name()
    }

    /// What it was built from.
    pub fn config(&self) -> &AxVMConfig {
        &self.config
    }

    /// A vCPU.
    pub fn vcpu(&self, id: usize) -> Option<&AxVCpu<V>> {
        self.vcpus.get(id)
    }

    /// All vCPUs, vCPU n at index n.
    pub fn vcpu_list(&self) -> &[AxVCpu<V>] {
        &self.vcpus
    }

    /// How a vCPU is reached while it runs, waits or sleeps.
    pub fn vcpu_sync(&self, id: usize) -> Option<&VCpuSync> {
        self.sync.get(id)
    }

    /// The hypervisor's side of the VM's console, if it has one: of the first UART. Nothing is
    /// connected to further ones.
    pub fn console(&self) -> Option<&Arc<dyn ConsolePort>> {
        self.console.as_ref()
    }

    /// Copies guest memory.
    pub fn read_from_guest_of(&self, gpa: GuestPhysAddr, buffer: &mut [u8]) -> AxResult {
        self.memory
            .space
            .lock()
            .read(gpa, buffer)
            .map_err(|error| VmError::Memory(error).into())
    }

    /// Writes guest memory that the guest itself may write.
    pub fn write_to_guest_of(&self, gpa: GuestPhysAddr, data: &[u8]) -> AxResult {
        self.memory
            .space
            .lock()
            .write(gpa, data)
            .map_err(|error| VmError::Memory(error).into())
    }

    /// Writes an image to RAM, whatever the guest's own rights to it are; at most a few hundred
    /// KiB at once, because interrupts are masked meanwhile.
    pub fn write_image(&self, gpa: GuestPhysAddr, data: &[u8]) -> Result<(), VmError> {
        self.memory.write_image(gpa, data)
    }

    /// Guest physical ranges of its RAM.
    pub fn ram(&self) -> impl Iterator<Item = GuestPhysRange> + '_ {
        self.memory.ranges()
    }
}

/// RAM and passthrough registers in a new address space.
fn build_memory<H: AxVMHal, V: AxArchVCpu>(
    config: &AxVMConfig,
) -> Result<VmMemory<H, V::Stage2>, VmError> {
    let vmid = VMIDS
        .alloc::<H::PagingHandler>()
        .map_err(|error| VmError::arch(error.into()))?;
    let space = AddrSpace::new(V::stage2_format().map_err(VmError::arch)?, vmid)?;
    let mut memory = VmMemory::new(space);
    // What has to be at a certain place first: the rest leaves nothing free for sure.
    let regions = config.memory_regions().iter();
    let (anywhere, fixed): (Vec<_>, Vec<_>) =
        regions.partition(|region| region.map_type == VmMemMappingType::MapAlloc);
    for region in fixed.into_iter().chain(anywhere) {
        memory.add_region(region)?;
    }
    let flags = MappingFlags::READ | MappingFlags::WRITE | MappingFlags::DEVICE;
    for device in config.pass_through_devices() {
        memory.space.get_mut().map(
            device.base_gpa.into(),
            device.base_hpa.into(),
            device.length,
            flags,
        )?;
    }
    Ok(memory)
}

/// The architecture's part: interrupt controller, clock.
fn build_arch<H: AxVMHal, V: AxArchVCpu>(
    config: &AxVMConfig,
    affinities: &[(usize, Option<usize>, usize)],
    sync: Arc<[VCpuSync]>,
    memory: Arc<VmMemory<H, V::Stage2>>,
) -> Result<Arc<V::Vm>, VmError> {
    let irqchip: Vec<IrqchipRegion> = match config.interrupt_mode() {
        VMInterruptMode::NoIrq => Vec::new(),
        _ => config
            .emu_devices()
            .iter()
            .filter_map(irqchip_region)
            .collect(),
    };
    if irqchip.is_empty() && !config.pass_through_spis().is_empty() {
        return Err(VmError::NoInterruptController);
    }
    let phys_ids: Vec<usize> = affinities.iter().map(|&(_, _, phys_id)| phys_id).collect();
    V::Vm::new(VmSetup {
        vm_id: config.id(),
        phys_ids: &phys_ids,
        irqchip: &irqchip,
        passthrough_lines: config.pass_through_spis(),
        sync,
        memory: Arc::new(SharedMemory(memory)),
        notify: notify::<H>,
    })
    .map_err(VmError::arch)
}

/// The VM may be on its way out: then nobody is left to be told.
fn notify<H: AxVMHal>(vm_id: usize, vcpu_id: usize, irq: usize) {
    let _ = H::inject_irq_to_vcpu(vm_id, vcpu_id, irq);
}

fn irqchip_region(device: &EmulatedDeviceConfig) -> Option<IrqchipRegion> {
    let role = match device.emu_type {
        EmulatedDeviceType::GicDistributor | EmulatedDeviceType::Plic => IrqchipRole::Distributor,
        EmulatedDeviceType::GicRedistributor => IrqchipRole::Redistributor,
        EmulatedDeviceType::Console => return None,
    };
    Some(IrqchipRegion {
        role,
        range: range(device),
    })
}

fn range(device: &EmulatedDeviceConfig) -> GuestPhysRange {
    GuestPhysRange {
        start: device.base_gpa.into(),
        end: device.base_gpa.saturating_add(device.length).into(),
    }
}

/// A VM's bus, and the console on it.
type Devices = (Arc<Bus>, Option<Arc<dyn ConsolePort>>);

/// Emulated devices on the bus. RAM or physical registers under one of them would never trap, and
/// the device never be reached: refused.
fn build_devices<V: AxArchVCpu>(
    config: &AxVMConfig,
    arch: &Arc<V::Vm>,
) -> Result<Devices, VmError> {
    let mut bus = BusBuilder::new();
    let mut console: Option<Arc<dyn ConsolePort>> = None;
    let mut lines = IrqLines::new(arch.irq_sink());
    for &line in config.pass_through_spis() {
        lines.take(line)?;
    }
    for (range, device) in arch.mmio_devices() {
        bus.add(range, device)?;
    }
    for device in config.emu_devices() {
        if device.emu_type != EmulatedDeviceType::Console {
            continue;
        }
        let line = match device.irq_id {
            Some(line) => lines.take(line)?,
            // Connected to nothing.
            None => IrqLine::new(arch.irq_sink(), u32::MAX),
        };
        let (uart, port) = build_console(V::CONSOLE, line);
        bus.add(range(device), uart)?;
        console.get_or_insert(port);
    }
    let bus = Arc::new(bus.freeze());
    let ram = config.memory_regions().iter().map(|r| (r.gpa, r.size));
    let passed = config.pass_through_devices().iter();
    for (gpa, size) in ram.chain(passed.map(|d| (d.base_gpa, d.length))) {
        refuse_overlap(&bus, gpa, size)?;
    }
    Ok((bus, console))
}

/// A UART: its registers, and the hypervisor's side of it.
fn build_console(
    model: ConsoleModel,
    line: IrqLine,
) -> (Arc<dyn MmioDevice>, Arc<dyn ConsolePort>) {
    match model {
        ConsoleModel::Pl011 => {
            let uart = Arc::new(Pl011::new(line));
            (uart.clone(), uart)
        }
        ConsoleModel::Ns16550 => {
            let uart = Arc::new(Ns16550::new(line));
            (uart.clone(), uart)
        }
    }
}

fn refuse_overlap(bus: &Bus, gpa: usize, size: usize) -> Result<(), VmError> {
    let new = GuestPhysRange {
        start: gpa.into(),
        end: gpa.saturating_add(size).into(),
    };
    match bus
        .ranges()
        .find(|existing| existing.start < new.end && new.start < existing.end)
    {
        Some(existing) => Err(axdevice::BusError::Overlap { new, existing }.into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
