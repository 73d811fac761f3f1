//! Exits. The handler runs on the host's stack with the guest's general registers in the frame and
//! everything else still in the hart; it returns `true` to go straight back.
//! What most exits run has no rare code inlined, whose registers it would have to save.

use axaddrspace::GuestPhysAddr;
use axdevice::WriteFault;
use axvcpu::{AccessFlags, AxVCpuExitReason, GuestFault};

use super::regs::{barrier, clear, read, set, write};
use super::switch::Frame;
use super::vcpu::{Exception, RiscvVCpu};
use super::{cpu, fetch};
use crate::RiscvHost;
use crate::decode::{self, Access, Trapped, Virtual};
use crate::inject::{access_fault, cause, status};

/// sip.SSIP.
const SSIP: u64 = 1 << 1;

/// The handler of all traps from the guest.
///
/// # Safety
/// Called by the vector with the frame of the vCPU that [`super::switch::enter`] entered.
pub unsafe extern "C" fn on_trap<H: RiscvHost>(frame: *mut Frame, scause: u64) -> bool {
    // SAFETY: the frame is the first field of a `RiscvVCpu<H>` (repr(C)), whose `run` lent it to the
    // vector; nobody else touches it until that returns.
    let vcpu = unsafe { &mut *frame.cast::<RiscvVCpu<H>>() };
    match scause {
        cause::ECALL_FROM_VS => vcpu.call(),
        cause::LOAD_GUEST_PAGE_FAULT | cause::STORE_GUEST_PAGE_FAULT => vcpu.data_fault(scause),
        cause::VIRTUAL_INSTRUCTION => vcpu.virtual_instruction(),
        cause::INSTRUCTION_GUEST_PAGE_FAULT => vcpu.fetch_fault(),
        _ if scause & cause::INTERRUPT != 0 => vcpu.interrupt(scause & !cause::INTERRUPT),
        _ => vcpu.unexpected(scause),
    }
}

/// What HTVAL and STVAL say of a guest page fault: "guest physical address bits shifted right by 2",
/// and the lowest two are those of the virtual address.
#[inline]
fn fault_address() -> GuestPhysAddr {
    GuestPhysAddr::from_usize((read!(HTVAL) << 2 | read!(STVAL) & 3) as usize)
}

impl<H: RiscvHost> RiscvVCpu<H> {
    /// Ends the run.
    #[inline]
    pub(super) fn leave(&mut self, exit: AxVCpuExitReason) -> bool {
        self.exit = exit;
        false
    }

    /// Goes back to the guest, unless this CPU is to run something else: for handlers that may
    /// have woken a task.
    #[inline]
    pub(super) fn go_on(&mut self) -> bool {
        !H::need_resched() || self.leave(AxVCpuExitReason::Preempted)
    }

    /// Past the trapped instruction.
    #[inline]
    pub(super) fn skip(&mut self, bytes: u64) {
        write!(SEPC, read!(SEPC).wrapping_add(bytes));
    }

    /// Takes an exception to VS-mode from inside a handler.
    pub(super) fn inject_now(&mut self, exception: Exception) -> bool {
        let supervisor = read!(SSTATUS) & status::SPP != 0;
        let handler = self.inject(exception, read!(SEPC), supervisor);
        write!(SEPC, handler);
        set!(SSTATUS, status::SPP);
        true
    }

    /// A physical interrupt. Nothing is acknowledged but kicks.
    #[inline(never)]
    fn interrupt(&mut self, code: u64) -> bool {
        if code == cause::SOFTWARE {
            // Before the requests are looked at: a later kick comes again. CSR writes are ordered
            // with memory as device output is ("Zicsr", "CSR Access Ordering").
            clear!(SIP, SSIP);
            barrier!("fence iorw, iorw");
            H::kicked();
            self.serve_requests();
            return match self.vm.sync.get(self.id) {
                Some(sync) if sync.has_requests() => self.leave(AxVCpuExitReason::Preempted),
                _ => self.go_on(),
            };
        }
        self.leave(AxVCpuExitReason::ExternalInterrupt { vector: code })
    }

    /// A load or store that the G-stage does not translate: most are a device's, which is asked
    /// here.
    #[inline(never)]
    fn data_fault(&mut self, scause: u64) -> bool {
        let addr = fault_address();
        match decode::transformed(read!(HTINST)) {
            Trapped::Access(access) => self.device_access(scause, addr, access),
            Trapped::Walk { write } => self.page_fault(scause, addr, data_flags(write)),
            Trapped::Other => self.not_for_devices(scause, addr),
            Trapped::Unknown => self.undecoded(scause, addr),
        }
    }

    /// The hardware did not say what the instruction was.
    #[cold]
    #[inline(never)]
    fn undecoded(&mut self, scause: u64, addr: GuestPhysAddr) -> bool {
        let pc = read!(SEPC);
        // SAFETY: in a handler, so the last trap was this vCPU's, which is bound.
        let Some(bits) = (unsafe { fetch::instruction(pc) }) else {
            // The guest changed its tables meanwhile: it runs the instruction again.
            return true;
        };
        match decode::instruction(bits) {
            // An access over the end of a page is no device's.
            Some(access) if within_page(read!(STVAL), access) => {
                self.device_access(scause, addr, access)
            }
            _ => self.not_for_devices(scause, addr),
        }
    }

    /// Makes an access to the device at `addr`.
    #[inline(always)]
    fn device_access(&mut self, scause: u64, addr: GuestPhysAddr, access: Access) -> bool {
        match self.ask_device(addr, access) {
            Some(Ok(())) => {
                self.skip(access.length);
                // The device may have interrupted this vCPU, or woken somebody.
                self.serve_requests();
                self.go_on()
            }
            Some(Err(WriteFault::Refused)) => self.inject_now(Exception {
                cause: access_fault(scause),
                value: read!(STVAL),
            }),
            Some(Err(WriteFault::Busy)) => self.again(),
            None => self.not_for_devices(scause, addr),
        }
    }

    /// The console can't take it yet: the guest tries again, after its interrupts and after what
    /// else this CPU has to run.
    #[cold]
    pub(super) fn again(&mut self) -> bool {
        self.serve_requests();
        self.go_on()
    }

    /// `None` if there is no device.
    #[inline(always)]
    fn ask_device(
        &mut self,
        addr: GuestPhysAddr,
        access: Access,
    ) -> Option<Result<(), WriteFault>> {
        let bus = self.vm.bus.get()?;
        let (width, last) = (access.width, &mut self.last_device);
        Some(if access.load {
            let value = bus.read(self.id, addr, width, last)?;
            let value = value.map(|value| self.frame.set_gpr(access.reg, access.extend(value)));
            value.map_err(WriteFault::from)
        } else {
            let value = self.frame.gpr(access.reg);
            bus.write(self.id, addr, width, value, last)?
        })
    }

    /// No device, or no access for one: the VM's memory map says what becomes of it.
    #[cold]
    #[inline(never)]
    fn not_for_devices(&mut self, scause: u64, addr: GuestPhysAddr) -> bool {
        let write = scause == cause::STORE_GUEST_PAGE_FAULT;
        self.page_fault(scause, addr, data_flags(write))
    }

    /// A fetch that the G-stage does not translate, or a walk for one.
    #[cold]
    #[inline(never)]
    fn fetch_fault(&mut self) -> bool {
        let scause = cause::INSTRUCTION_GUEST_PAGE_FAULT;
        let flags = match decode::transformed(read!(HTINST)) {
            Trapped::Walk { write } => data_flags(write),
            _ => AccessFlags::Execute,
        };
        self.page_fault(scause, fault_address(), flags)
    }

    fn page_fault(&mut self, scause: u64, addr: GuestPhysAddr, access_flags: AccessFlags) -> bool {
        self.refused = Some(Exception {
            cause: access_fault(scause),
            value: read!(STVAL),
        });
        self.leave(AxVCpuExitReason::NestedPageFault { addr, access_flags })
    }

    /// An instruction that is HS-mode's and not the guest's.
    #[inline(never)]
    fn virtual_instruction(&mut self) -> bool {
        // stval is the instruction, or 0 ("Supervisor Trap Value Register").
        let pc = read!(SEPC);
        let bits = match read!(STVAL) {
            // SAFETY: in a handler, so the last trap was this vCPU's, which is bound.
            0 => match unsafe { fetch::instruction(pc) } {
                Some(bits) => bits,
                None => return true,
            },
            bits => bits as u32,
        };
        let supervisor = read!(SSTATUS) & status::SPP != 0;
        match decode::virtual_instruction(bits) {
            Virtual::Wfi if supervisor => {
                self.skip(4);
                self.wait_for_interrupt()
            }
            // It may end its wait at any time. Who it waits for may be waiting for this CPU.
            Virtual::WrsNto => {
                self.skip(4);
                self.go_on()
            }
            // To a guest without the hypervisor extension it is no instruction; nor is WFI to its
            // user mode, where it may be refused ("Wait for Interrupt").
            _ => self.inject_now(Exception {
                cause: cause::ILLEGAL_INSTRUCTION,
                value: bits.into(),
            }),
        }
    }

    /// Waits until an interrupt that the guest has enabled is pending.
    pub(super) fn wait_for_interrupt(&mut self) -> bool {
        self.serve_requests();
        if !self.features.sstc {
            self.serve_timer();
        }
        if cpu::wakes() {
            return true;
        }
        let deadline = self.timer_deadline().filter(|_| cpu::timer_enabled());
        self.leave(AxVCpuExitReason::Halt { deadline })
    }

    /// What is enabled nowhere, or has no meaning for.
    #[cold]
    #[inline(never)]
    fn unexpected(&mut self, scause: u64) -> bool {
        let pc = read!(SEPC);
        let fault = if scause == cause::HARDWARE_ERROR {
            GuestFault::HardwareError {
                syndrome: scause,
                pc,
            }
        } else {
            GuestFault::UnexpectedTrap {
                syndrome: scause,
                pc,
            }
        };
        self.leave(AxVCpuExitReason::FailEntry(fault))
    }
}

fn data_flags(write: bool) -> AccessFlags {
    if write {
        AccessFlags::Write
    } else {
        AccessFlags::Read
    }
}

/// Whether an access at `address` lies in one page.
fn within_page(address: u64, access: Access) -> bool {
    const PAGE: u64 = 4096;
    address % PAGE + access.width.bytes() as u64 <= PAGE
}
