//! On which CPU a task that woke is queued.

use crate::cpu::Cpu;
use crate::list::Entry;
use crate::policy::{Place, Policy, Schedulable};
use crate::sync::Ordering;
use crate::task::{SpawnError, Task};
use crate::{CpuMask, NEVER, Platform, Scheduler};

impl<P: Platform> Task<P> {
    /// What a CPU that runs it shows as its `level`.
    #[inline]
    pub(crate) fn priority_level(&self) -> u8 {
        if self.idle {
            0
        } else {
            self.priority().saturating_add(1)
        }
    }
}

impl<P: Platform> Scheduler<P> {
    /// Queues a task that is neither current nor queued anywhere, and has its CPU look if it should
    /// run at once.
    pub(crate) fn place(&self, task: Entry<Task<P>>) {
        loop {
            // See `OnCpu`. If its affinity forbids that CPU by now, it is sent on from there.
            let must_stay = task.on_cpu.get();
            let id = if must_stay {
                task.cpu()
            } else {
                self.choose(&task)
            };
            if self.enqueue(self.cpu(id), task, must_stay) {
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

    /// Queues it, unless its affinity forbids and it need not stay. Looked at under the lock:
    /// `set_affinity` changes the mask first and takes each CPU's lock afterwards, so it finds what
    /// was queued by the old mask.
    fn enqueue(&self, cpu: &Cpu<P>, task: Entry<Task<P>>, must_stay: bool) -> bool {
        let mut queue = cpu.queue.lock();
        if !must_stay && !task.affinity().contains(cpu.id()) {
            return false;
        }
        task.cpu.store(cpu.id(), Ordering::Relaxed);
        let allowed = cpu.add(&mut queue, task, Place::Back);
        let Some(current) = cpu.current() else {
            return true;
        };
        let tell = if current == task {
            // It was woken before its CPU has looked for another task: that is what it does next.
            false
        } else if !allowed {
            cpu.ask()
        } else if current.idle || queue.policy.should_preempt(&current, &task) {
            // At once, so that the next task that wakes goes elsewhere.
            let level = cpu.level.load(Ordering::Relaxed);
            cpu.level
                .store(level.max(task.priority_level()), Ordering::Relaxed);
            cpu.ask()
        } else if cpu.slice_end.get() == NEVER && queue.policy.contended(&current) {
            // The current task had the CPU for itself, without a slice.
            let end = P::now().saturating_add(queue.slice);
            cpu.slice_end.set(end);
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
            let entry = task.entry();
            let is_current = cpu.current() == Some(entry);
            if task.is_queued_on(id) {
                cpu.remove(&mut queue, entry);
                if !task.on_cpu.get() {
                    drop(queue);
                    self.place(entry);
                    continue;
                }
                cpu.add_stray(&mut queue, entry);
            } else if !is_current {
                continue;
            }
            let tell = cpu.ask();
            drop(queue);
            if tell && id != P::cpu() {
                P::kick(id);
            }
        }
        Ok(())
    }
}
