//! On which CPU a task that woke is queued.

use crate::list::Entry;
use crate::policy::{Place, Policy, Schedulable};
use crate::sched::Cpu;
use crate::sync::Ordering;
use crate::task::{SpawnError, Task};
use crate::{CpuMask, NEVER, Platform, Scheduler};

impl<P: Platform> Task<P> {
    /// What a CPU that runs it shows as its `level`.
    #[inline]
    pub(crate) fn priority_level(&self) -> u8 {
        self.priority().saturating_add(1)
    }
}

impl<P: Platform> Scheduler<P> {
    /// Queues a task that is neither current nor queued anywhere, and has its CPU look if it should
    /// run at once.
    pub(crate) fn place(&self, task: Entry<Task<P>>) {
        loop {
            if task.on_cpu.get() {
                // See `OnCpu`. If its affinity forbids that CPU by now, it is sent on from there.
                self.enqueue(self.cpu(task.cpu()), task);
                return;
            }
            let cpu = self.cpu(self.choose(&task));
            if self.enqueue_allowed(cpu, task) {
                return;
            }
            // Its affinity has just changed.
        }
    }

    /// Its last CPU if that runs nothing as urgent; else an idle one; else the one with the
    /// fewest tasks queued.
    fn choose(&self, task: &Task<P>) -> usize {
        let last = task.cpu();
        let allowed = task.affinity().and(self.online());
        let level = task.priority_level();
        if allowed.contains(last) && self.cpu(last).level.load(Ordering::Relaxed) < level {
            return last;
        }
        let key = |id: &usize| {
            let cpu = self.cpu(*id);
            let busy = cpu.level.load(Ordering::Relaxed) != 0;
            (busy, cpu.queued.load(Ordering::Relaxed), *id != last)
        };
        // `set_affinity` and `spawn` refuse masks without a CPU that runs, so there is one.
        allowed.iter().min_by_key(key).unwrap_or(last)
    }

    /// Queues it unless its affinity forbids. Looked at under the lock: `set_affinity` changes the
    /// mask first and takes each CPU's lock afterwards, so it finds what was queued by the old
    /// mask.
    fn enqueue_allowed(&self, cpu: &Cpu<P>, task: Entry<Task<P>>) -> bool {
        self.enqueue_if(cpu, task, |task| task.affinity().contains(cpu.id()))
    }

    fn enqueue(&self, cpu: &Cpu<P>, task: Entry<Task<P>>) {
        self.enqueue_if(cpu, task, |_| true);
    }

    #[inline]
    fn enqueue_if(
        &self,
        cpu: &Cpu<P>,
        task: Entry<Task<P>>,
        allowed: impl FnOnce(&Task<P>) -> bool,
    ) -> bool {
        let mut queue = cpu.queue.lock();
        if !allowed(&task) {
            return false;
        }
        task.cpu.store(cpu.id(), Ordering::Relaxed);
        task.set_queued_on(Some(cpu.id()));
        queue.policy.enqueue(task, Place::Back);
        cpu.queued.fetch_add(1, Ordering::Relaxed);
        let Some(current) = cpu.current() else {
            return true;
        };
        let tell = if current.idle || queue.policy.should_preempt(&current, &task) {
            // If it was set already, that CPU looks at it soon anyway.
            !cpu.need_resched.swap(true, Ordering::Relaxed)
        } else if cpu.slice_end.load(Ordering::Relaxed) == NEVER && queue.policy.contended(&current)
        {
            // The current task had the CPU for itself, without a slice.
            let end = P::now().saturating_add(queue.slice);
            cpu.slice_end.store(end, Ordering::Relaxed);
            true
        } else {
            false
        };
        drop(queue);
        if tell {
            if cpu.id() == P::cpu() {
                self.program(cpu);
            } else {
                P::kick(cpu.id());
            }
        }
        true
    }

    /// Changes where a task may run. If it runs where it may not any more, its CPU is made to
    /// switch; the current task itself is moved by the next [`preempt`](Self::preempt). Refused
    /// if none of these CPUs runs.
    pub fn set_affinity(&self, task: &Task<P>, mask: CpuMask) -> Result<(), SpawnError> {
        let online = self.online();
        if mask.and(online).is_empty() || task.idle {
            return Err(SpawnError::NoCpu(mask));
        }
        task.set_affinity_bits(mask);
        for id in online.without(mask).iter() {
            let cpu = self.cpu(id);
            let mut queue = cpu.queue.lock();
            let is_current = cpu
                .current()
                .is_some_and(|current| core::ptr::eq(current.as_ptr(), task));
            if is_current {
                let tell = !cpu.need_resched.swap(true, Ordering::Relaxed);
                drop(queue);
                if tell && id != P::cpu() {
                    P::kick(id);
                }
            } else if task.is_queued_on(id) && !task.on_cpu.get() {
                // SAFETY: a task that is queued is kept in place by the scheduler's reference.
                let task = unsafe { Entry::new(core::ptr::NonNull::from(task)) };
                queue.policy.remove(task);
                task.set_queued_on(None);
                cpu.queued.fetch_sub(1, Ordering::Relaxed);
                drop(queue);
                self.place(task);
            }
            // Queued there but not saved yet: it is sent on when that CPU picks it.
        }
        Ok(())
    }
}
