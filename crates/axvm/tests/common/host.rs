//! The host: 32 MiB of RAM at [`BASE`], and a record of what was asked of it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use axaddrspace::{GuestPhysRange, HostPhysAddr, HostVirtAddr, PagingHandler};
use axerrno::AxResult;
use axvm::AxVMHal;

/// Where the machine's RAM starts.
pub const BASE: usize = 0x8000_0000;
/// Its size in bytes.
pub const SIZE: usize = 32 << 20;
const FRAME: usize = 4096;

/// The host's state.
pub struct State {
    /// The machine's RAM; never freed, so that a stray pointer hits nobody else's memory.
    ram: &'static mut [u64],
    /// What is out: first frame and number of frames.
    pub taken: BTreeMap<usize, usize>,
    /// How many more allocations succeed.
    pub budget: Option<usize>,
    /// Frames are handed out in pieces of at most so many.
    pub largest: Option<usize>,
    /// TLB invalidations: VMID, and the range or all.
    pub flushes: Vec<(u16, Option<GuestPhysRange>)>,
    /// What was cleaned to the point of coherency: address, length.
    pub cleaned: Vec<(usize, usize)>,
    /// What instruction fetches were made to see: address, length.
    pub synced: Vec<(usize, usize)>,
    /// Who was told to look: VM and vCPU.
    pub notified: Vec<(usize, usize)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            // What a last owner may have left.
            ram: vec![0xa5a5_a5a5_a5a5_a5a5; SIZE / 8].leak(),
            taken: BTreeMap::new(),
            budget: None,
            largest: None,
            flushes: Vec::new(),
            cleaned: Vec::new(),
            synced: Vec::new(),
            notified: Vec::new(),
        }
    }
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Uses this thread's machine.
pub fn with<R>(f: impl FnOnce(&mut State) -> R) -> R {
    STATE.with_borrow_mut(f)
}

/// Frames that are out.
pub fn frames_out() -> usize {
    with(|s| s.taken.values().sum())
}

impl State {
    fn is_free(&self, base: usize, count: usize) -> bool {
        let end = base + count * FRAME;
        let inside = base >= BASE && end <= BASE + SIZE;
        inside
            && !self
                .taken
                .iter()
                .any(|(&at, &n)| at < end && base < at + n * FRAME)
    }

    fn take(&mut self, count: usize, align: usize) -> Option<usize> {
        match &mut self.budget {
            Some(0) => return None,
            Some(left) => *left -= 1,
            None => {}
        }
        let base = (BASE..BASE + SIZE)
            .step_by(align)
            .find(|&base| self.is_free(base, count))?;
        self.taken.insert(base, count);
        Some(base)
    }

    fn give_back(&mut self, base: usize, count: usize) {
        assert_eq!(self.taken.remove(&base), Some(count), "it was out");
    }

    fn at(&mut self, address: usize) -> *mut u8 {
        let offset = address.checked_sub(BASE).filter(|&offset| offset < SIZE);
        let ram = self.ram.as_mut_ptr().cast::<u8>();
        ram.wrapping_add(offset.expect("an address in RAM"))
    }
}

/// The machine under the VMs.
pub struct Host;

impl PagingHandler for Host {
    fn alloc_frames(count: usize, align: usize) -> Option<HostPhysAddr> {
        with(|s| match s.largest {
            Some(largest) if count > largest => None,
            _ => s.take(count, align).map(HostPhysAddr::from),
        })
    }

    fn dealloc_frames(base: HostPhysAddr, count: usize) {
        with(|s| s.give_back(base.as_usize(), count));
    }

    fn phys_to_virt(paddr: HostPhysAddr) -> HostVirtAddr {
        with(|s| s.at(paddr.as_usize()) as usize).into()
    }

    fn alloc_table(count: usize) -> Option<HostPhysAddr> {
        with(|s| {
            let base = s.take(count, count * FRAME)?;
            let word = (base - BASE) / 8;
            s.ram[word..word + count * FRAME / 8].fill(0);
            Some(base.into())
        })
    }

    fn dealloc_table(base: HostPhysAddr, count: usize) {
        with(|s| s.give_back(base.as_usize(), count));
    }

    fn publish_tables() {}

    fn flush_stage2(vmid: u16, range: Option<GuestPhysRange>) {
        with(|s| s.flushes.push((vmid, range)));
    }

    fn clean_to_poc(base: HostPhysAddr, len: usize) {
        with(|s| s.cleaned.push((base.as_usize(), len)));
    }

    fn sync_icache(base: HostPhysAddr, len: usize) {
        with(|s| s.synced.push((base.as_usize(), len)));
    }

    fn with_window<R>(base: HostPhysAddr, len: usize, f: impl FnOnce(*mut u8) -> R) -> R {
        let at = base.as_usize();
        assert_eq!(at >> 21, (at + len - 1) >> 21, "a window shows one block");
        f(with(|s| s.at(at)))
    }
}

impl AxVMHal for Host {
    type PagingHandler = Self;

    fn alloc_memory_region_at(base: HostPhysAddr, size: usize) -> bool {
        with(|s| {
            let (base, count) = (base.as_usize(), size / FRAME);
            let free = s.is_free(base, count);
            if free {
                s.taken.insert(base, count);
            }
            free
        })
    }

    fn dealloc_memory_region_at(base: HostPhysAddr, size: usize) {
        with(|s| s.give_back(base.as_usize(), size / FRAME));
    }

    fn virt_to_phys(vaddr: HostVirtAddr) -> HostPhysAddr {
        with(|s| vaddr.as_usize() - s.at(BASE) as usize + BASE).into()
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

    fn inject_irq_to_vcpu(vm_id: usize, vcpu_id: usize, _: usize) -> AxResult {
        with(|s| s.notified.push((vm_id, vcpu_id)));
        Ok(())
    }
}
