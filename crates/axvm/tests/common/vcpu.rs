//! The architecture: a vCPU that leaves its guest for the reasons a script names, and an interrupt
//! controller that remembers levels and has one register.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use axaddrspace::{GuestPhysAddr, GuestPhysRange, HostPhysAddr, Vmsa};
use axdevice::{Access, BusFault, IrqSink, MmioDevice, WriteFault};
use axerrno::{AxError, AxResult};
use axvcpu::{
    ArchVm, AxArchVCpu, AxVCpuExitReason, ConsoleModel, GuestMemory, PowerOnError, VmSetup,
};

/// What the vCPUs of a VM share.
pub struct ScriptVm {
    ranges: Vec<GuestPhysRange>,
    passthrough: Vec<u32>,
    memory: Arc<dyn GuestMemory>,
    chip: Arc<Chip>,
    /// Root table and VMID.
    pub stage2: Mutex<Option<(usize, u16)>>,
    /// How often the clock was started.
    pub starts: AtomicUsize,
    /// How often it was reset.
    pub resets: AtomicUsize,
}

/// The interrupt controller.
#[derive(Default)]
pub struct Chip {
    /// Lines that were driven, and how, in order.
    pub driven: Mutex<Vec<(u32, bool)>>,
    register: AtomicU64,
}

impl IrqSink for Chip {
    fn set_level(&self, line: u32, asserted: bool) {
        self.driven.lock().unwrap().push((line, asserted));
    }

    fn pulse(&self, _: u32) {}
}

impl MmioDevice for Chip {
    fn read(&self, access: Access) -> Result<u64, BusFault> {
        match access.offset {
            0 => Ok(self.register.load(Ordering::Relaxed)),
            _ => Err(BusFault),
        }
    }

    fn write(&self, access: Access, value: u64) -> Result<(), WriteFault> {
        match access.offset {
            0 => self.register.store(value, Ordering::Relaxed),
            _ => return Err(WriteFault::Refused),
        }
        Ok(())
    }

    fn reset(&self) {
        self.register.store(0, Ordering::Relaxed);
    }
}

impl ArchVm for ScriptVm {
    fn new(setup: VmSetup<'_>) -> AxResult<Arc<Self>> {
        assert_eq!(setup.phys_ids.len(), setup.sync.len());
        Ok(Arc::new(Self {
            ranges: setup.irqchip.iter().map(|region| region.range).collect(),
            passthrough: setup.passthrough_lines.to_vec(),
            memory: setup.memory,
            chip: Arc::default(),
            stage2: Mutex::new(None),
            starts: AtomicUsize::new(0),
            resets: AtomicUsize::new(0),
        }))
    }

    fn mmio_devices(self: &Arc<Self>) -> Vec<(GuestPhysRange, Arc<dyn MmioDevice>)> {
        let device = |&range: &GuestPhysRange| (range, self.chip.clone() as Arc<dyn MmioDevice>);
        self.ranges.iter().map(device).collect()
    }

    fn irq_sink(self: &Arc<Self>) -> Arc<dyn IrqSink> {
        self.chip.clone()
    }

    fn set_stage2(&self, root: HostPhysAddr, vmid: u16) {
        *self.stage2.lock().unwrap() = Some((root.as_usize(), vmid));
    }

    fn line_fired(&self, line: u32) -> bool {
        self.passthrough.contains(&line)
    }

    fn start(&self) {
        self.starts.fetch_add(1, Ordering::Relaxed);
    }

    fn reset(&self) {
        self.resets.fetch_add(1, Ordering::Relaxed);
    }
}

/// A vCPU made so fails from now on: vCPU number, or `usize::MAX` for none.
pub static NO_SUCH_VCPU: usize = usize::MAX;

thread_local! {
    /// The number of the vCPU that can't be made.
    pub static REFUSED: std::cell::Cell<usize> = const { std::cell::Cell::new(NO_SUCH_VCPU) };
}

/// The vCPU.
pub struct ScriptVCpu {
    /// What its VM's vCPUs share.
    pub vm: Arc<ScriptVm>,
    /// The exits to come; afterwards it waits for interrupts for ever.
    pub script: VecDeque<AxVCpuExitReason>,
    /// The answers to device accesses and faults.
    pub answers: Vec<Result<u64, BusFault>>,
    /// The answers to requests to start vCPUs.
    pub ups: Vec<Result<(), PowerOnError>>,
    /// Entry point and argument, once it was told.
    pub entry: Option<(usize, usize)>,
    bound: AtomicBool,
}

impl ScriptVCpu {
    /// Reads guest RAM as the hypervisor's decoder does.
    pub fn reads(&self, gpa: usize, buffer: &mut [u8]) -> bool {
        self.vm.memory.read(gpa.into(), buffer)
    }

    /// Lines that were driven.
    pub fn driven(&self) -> Vec<(u32, bool)> {
        self.vm.chip.driven.lock().unwrap().clone()
    }
}

impl AxArchVCpu for ScriptVCpu {
    type Vm = ScriptVm;
    type Stage2 = Vmsa;

    const CONSOLE: ConsoleModel = ConsoleModel::Pl011;

    fn stage2_format() -> AxResult<Vmsa> {
        Ok(Vmsa::new(40, 40, false)?)
    }

    fn new(vm: &Arc<ScriptVm>, vcpu_id: usize) -> AxResult<Self> {
        if REFUSED.get() == vcpu_id {
            return Err(AxError::Unsupported);
        }
        Ok(Self {
            vm: vm.clone(),
            script: VecDeque::new(),
            answers: Vec::new(),
            ups: Vec::new(),
            entry: None,
            bound: AtomicBool::new(false),
        })
    }

    fn set_entry(&mut self, entry: GuestPhysAddr, arg: usize) -> AxResult {
        assert!(!self.bound.load(Ordering::Relaxed), "not while bound");
        self.entry = Some((entry.as_usize(), arg));
        Ok(())
    }

    fn bind(&mut self) {
        assert!(!self.bound.swap(true, Ordering::Relaxed), "bound twice");
    }

    fn unbind(&mut self) {
        assert!(self.bound.swap(false, Ordering::Relaxed), "not bound");
    }

    fn run(&mut self) -> AxResult<AxVCpuExitReason> {
        assert!(self.bound.load(Ordering::Relaxed), "only while bound");
        let wait = AxVCpuExitReason::Halt { deadline: None };
        Ok(self.script.pop_front().unwrap_or(wait))
    }

    fn complete_mmio(&mut self, result: Result<u64, BusFault>) {
        self.answers.push(result);
    }

    fn set_gpr(&mut self, _: usize, _: u64) {}

    fn set_return_value(&mut self, _: u64) {}

    fn complete_cpu_up(&mut self, result: Result<(), PowerOnError>) {
        self.ups.push(result);
    }
}
