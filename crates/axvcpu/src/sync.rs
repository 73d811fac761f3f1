//! How others reach a vCPU while it runs, waits or sleeps.
//!
//! Two sides meet here. The vCPU's own task *enters*: it publishes that it is about to run the
//! guest, then looks for requests. Another CPU *kicks*: it publishes a request, then looks whether
//! the vCPU runs. Each side writes, issues a full fence, and reads what the other wrote, so at
//! least one of them sees the other (the store-buffering pattern); neither a request nor a wake-up
//! is lost. `tests/loom.rs` runs this very code under loom.

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering, fence};
#[cfg(loom)]
use loom::sync::atomic::{AtomicU8, AtomicU32, Ordering, fence};

/// Where a vCPU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// In the hypervisor, or not scheduled: it looks at its requests before it enters the guest.
    Outside = 0,
    /// In the guest, or on the last steps to it.
    InGuest = 1,
    /// Asleep until somebody wakes its task.
    Blocked = 2,
}

/// What the guest knows of a vCPU's power (PSCI AFFINITY_INFO, SBI HSM status).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PowerState {
    /// Off: it has left the guest and its state is gone.
    Off = 0,
    /// On its way up.
    OnPending = 1,
    /// On.
    On = 2,
}

/// Why a vCPU could not be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerOnError {
    /// The VM has no such vCPU.
    NoSuchCpu,
    /// It is on.
    AlreadyOn,
    /// It is on its way.
    Pending,
    /// The entry point is not in the VM's memory.
    InvalidAddress,
}

/// A reason to leave the guest, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Request {
    /// Interrupts were recorded for it.
    Interrupt = 1 << 0,
    /// Its VM stops.
    Stop = 1 << 1,
    /// Another CPU needs the interrupt state this vCPU holds in its CPU's registers.
    Fold = 1 << 2,
    /// It was switched on.
    PowerOn = 1 << 3,
}

/// What a kick has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kick {
    /// Nothing: the vCPU will look by itself.
    None,
    /// Interrupt this physical CPU.
    Interrupt(usize),
    /// Wake the vCPU's task.
    Wake,
}

/// What is known of a vCPU outside its task. All of it is atomic: any CPU may look and kick at any
/// time; only the vCPU's own task moves it and takes requests.
#[derive(Debug)]
pub struct VCpuSync {
    /// A [`Mode`] in the low bits, above it the physical CPU it entered on last: one word, so that
    /// who sees it in the guest sees where.
    place: AtomicU32,
    power: AtomicU8,
    requests: AtomicU32,
}

/// Bits of the mode in `place`.
const MODE_BITS: u32 = 2;
const MODE_MASK: u32 = (1 << MODE_BITS) - 1;

impl Default for VCpuSync {
    fn default() -> Self {
        Self::new()
    }
}

impl VCpuSync {
    /// Outside the guest, off, no requests.
    pub fn new() -> Self {
        Self {
            place: AtomicU32::new(Mode::Outside as u32),
            power: AtomicU8::new(PowerState::Off as u8),
            requests: AtomicU32::new(0),
        }
    }

    /// Own task, interrupts masked: about to run the guest on physical CPU `cpu`. `false` means a
    /// request is there, and the guest must not be entered.
    #[inline]
    pub fn enter(&self, cpu: usize) -> bool {
        self.publish(Mode::InGuest as u32 | (cpu as u32) << MODE_BITS)
    }

    /// Own task: about to sleep. `false` means a request is there, and it must not.
    #[inline]
    pub fn block(&self) -> bool {
        self.publish(Mode::Blocked as u32 | (self.cpu() as u32) << MODE_BITS)
    }

    /// Own task: back in the hypervisor.
    #[inline]
    pub fn leave(&self) {
        let place = Mode::Outside as u32 | (self.cpu() as u32) << MODE_BITS;
        // Release: whoever sees it outside sees what the guest's exit left behind.
        self.place.store(place, Ordering::Release);
    }

    #[inline]
    fn publish(&self, place: u32) -> bool {
        // Relaxed is enough in front of the fence: see the module's text.
        self.place.store(place, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.requests.load(Ordering::Relaxed) == 0 {
            return true;
        }
        self.leave();
        false
    }

    /// Any CPU: leaves a request and says what must be done so that the vCPU sees it soon.
    #[inline]
    pub fn request(&self, request: Request) -> Kick {
        self.requests.fetch_or(request as u32, Ordering::Release);
        self.kick()
    }

    /// Any CPU that left a request before: what must be done so that the vCPU sees it soon.
    #[inline]
    pub fn kick(&self) -> Kick {
        fence(Ordering::SeqCst);
        let place = self.place.load(Ordering::Relaxed);
        match mode_of(place) {
            Mode::Outside => Kick::None,
            Mode::InGuest => Kick::Interrupt((place >> MODE_BITS) as usize),
            Mode::Blocked => Kick::Wake,
        }
    }

    /// Own task: takes all requests, as bits of [`Request`].
    #[inline]
    pub fn take_requests(&self) -> u32 {
        if self.requests.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.requests.swap(0, Ordering::Acquire)
    }

    /// Own task: takes one request if it is there.
    #[inline]
    pub fn take_request(&self, request: Request) -> bool {
        let bit = request as u32;
        self.requests.load(Ordering::Relaxed) & bit != 0
            && self.requests.fetch_and(!bit, Ordering::Acquire) & bit != 0
    }

    /// Whether any request waits.
    #[inline]
    pub fn has_requests(&self) -> bool {
        self.requests.load(Ordering::Relaxed) != 0
    }

    /// Whether a request other than `known` (bits of [`Request`]) waits.
    #[inline]
    pub fn has_requests_beyond(&self, known: u32) -> bool {
        self.requests.load(Ordering::Relaxed) & !known != 0
    }

    /// Where the vCPU is: a hint to everybody but its own task.
    #[inline]
    pub fn mode(&self) -> Mode {
        mode_of(self.place.load(Ordering::Relaxed))
    }

    /// The physical CPU it entered on last: a hint.
    #[inline]
    pub fn cpu(&self) -> usize {
        (self.place.load(Ordering::Relaxed) >> MODE_BITS) as usize
    }

    /// What the guest may be told of its power.
    pub fn power(&self) -> PowerState {
        match self.power.load(Ordering::Acquire) {
            0 => PowerState::Off,
            1 => PowerState::OnPending,
            _ => PowerState::On,
        }
    }

    /// Sets the power state; the release makes all that the vCPU did before visible to whoever
    /// sees it.
    pub fn set_power(&self, state: PowerState) {
        self.power.store(state as u8, Ordering::Release);
    }

    /// Off -> OnPending, by the one caller that wins.
    pub fn claim_power_on(&self) -> Result<(), PowerOnError> {
        self.power
            .compare_exchange(
                PowerState::Off as u8,
                PowerState::OnPending as u8,
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .map(drop)
            .map_err(|found| match found {
                found if found == PowerState::OnPending as u8 => PowerOnError::Pending,
                _ => PowerOnError::AlreadyOn,
            })
    }
}

#[inline]
fn mode_of(place: u32) -> Mode {
    match place & MODE_MASK {
        0 => Mode::Outside,
        1 => Mode::InGuest,
        _ => Mode::Blocked,
    }
}
