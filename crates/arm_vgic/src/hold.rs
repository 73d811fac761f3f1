//! Accesses to the state of interrupts that are in a list register.
//!
//! A list register is reached by its own CPU only. An access that needs what is in one first gets
//! every vCPU concerned to fold, and keeps them from taking list registers up again until it is
//! done:
//!
//! 1. Under the locks it finds that an interrupt concerned is in a list register, and lets go of
//!    the locks.
//! 2. It raises `hold`, and folds its own vCPU.
//! 3. It asks each vCPU concerned to fold, and waits until that one is not live. Then it tries
//!    again, under the locks, until nothing is in the way.
//! 4. It lowers `hold`.
//!
//! *No deadlock.* A vCPU that waits in step 3 is not live itself, so nobody waits for it, and it
//! holds no lock. One that is live runs the guest, from which it is kicked, or an exit handler,
//! which has a bound and ends in a look at the requests. (It must not go to sleep or be switched
//! out while live: see [`Vgic::put`].) Nobody becomes live while `hold` is raised: becoming live
//! is a store to `live`, a fence, a load of `hold`; raising `hold` is the store, a fence, the
//! loads of `live`: one of the two sees the other. A live vCPU may still move more interrupts to
//! its list registers, and the access then finds them when it tries again; as each vCPU folds
//! once at most while `hold` is raised, it tries at most once more than there are vCPUs.
//!
//! *No lost update.* The access happens under the locks with nothing it touches in a list
//! register, so on state that the model owns. Folding writes the model under the same locks
//! before it clears `live`.

use core::hint::spin_loop;
use core::sync::atomic::{Ordering, fence};

use crate::{CpuInterface, Notify, Vgic, Wanted};

/// These vCPUs (a mask) have interrupts in list registers that are in the way.
pub(crate) struct InListRegisters(pub u64);

impl<C: CpuInterface, N: Notify> Vgic<C, N> {
    /// Runs `op` with nothing it needs in list registers. `op` takes the locks it needs, changes
    /// nothing if it returns the vCPUs in the way, and is tried again when they have folded.
    /// `me` is the vCPU loaded on this CPU.
    #[inline]
    pub(crate) fn exclusive<R>(
        &self,
        me: usize,
        mut op: impl FnMut() -> Result<R, InListRegisters>,
    ) -> R {
        let mut holding = false;
        loop {
            match op() {
                Ok(done) => {
                    if holding {
                        self.hold.fetch_sub(1, Ordering::Release);
                    }
                    return done;
                }
                Err(busy) => self.make_way(me, busy, core::mem::replace(&mut holding, true)),
            }
        }
    }

    /// Steps 2 and 3. `holding`: `hold` has been raised for this access.
    #[cold]
    #[inline(never)]
    fn make_way(&self, me: usize, busy: InListRegisters, holding: bool) {
        if !holding {
            self.hold.fetch_add(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            self.fold(me);
        }
        let live = |v: &usize| self.vcpus[*v].live.load(Ordering::Acquire);
        let waited = (0..self.vcpus.len()).filter(|&v| v != me && busy.0 >> v & 1 != 0);
        for v in waited.clone().filter(live) {
            self.notify.notify(v, Wanted::Fold);
        }
        for v in waited {
            while live(&v) {
                spin_loop();
            }
        }
    }

    /// Becomes live, unless an access holds everybody off. The list registers are empty, and the
    /// CPU is the one `me` is loaded on.
    pub(crate) fn try_live(&self, me: usize) -> bool {
        let live = &self.vcpus[me].live;
        live.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.hold.load(Ordering::Acquire) == 0 {
            return true;
        }
        live.store(false, Ordering::Release);
        false
    }
}
