//! Wait queues: tasks that sleep until a condition holds.

use crate::list::List;
use crate::sync::SpinLock;
use crate::{NEVER, Platform, Scheduler, Task};

/// The kind of lists that wait queues are.
#[derive(Debug)]
pub struct Wait;

/// Tasks that wait for something. Whoever makes their condition true calls
/// [`notify_one`](Self::notify_one) or [`notify_all`](Self::notify_all) afterwards.
pub struct WaitQueue<P: Platform> {
    waiting: SpinLock<List<Task<P>, Wait>>,
}

impl<P: Platform> Default for WaitQueue<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Platform> WaitQueue<P> {
    const_fn! {
        /// Nobody waits.
        pub fn new() -> Self {
            Self { waiting: SpinLock::new(List::new()) }
        }
    }

    /// Puts the current task to sleep until `condition` holds. It is evaluated with no lock held,
    /// first at once, then after each wake-up. Not for a CPU's idle task.
    pub fn wait_until(&self, scheduler: &Scheduler<P>, condition: impl FnMut() -> bool) {
        self.wait(scheduler, NEVER, condition);
    }

    /// The same, at most until `deadline` in ticks: `false` means it passed and the condition
    /// didn't hold.
    pub fn wait_until_deadline(
        &self,
        scheduler: &Scheduler<P>,
        deadline: u64,
        condition: impl FnMut() -> bool,
    ) -> bool {
        self.wait(scheduler, deadline, condition)
    }

    fn wait(
        &self,
        scheduler: &Scheduler<P>,
        deadline: u64,
        mut condition: impl FnMut() -> bool,
    ) -> bool {
        loop {
            if condition() {
                return true;
            }
            let Some(me) = scheduler.current_entry() else {
                return false;
            };
            self.waiting.lock().push_back(me);
            // Looked at again: who changed it before this task was in the queue didn't see it
            // there. Who changes it from now on finds it: the lock orders the two.
            let holds = condition();
            if !holds {
                scheduler.park_until(deadline);
            }
            // Woken by somebody else, or not asleep at all: it is still in the queue. Taking the
            // lock also makes sure that a notifier is done with this task.
            self.waiting.lock().remove(me);
            if holds {
                return true;
            }
            if deadline != NEVER && P::now() >= deadline {
                return condition();
            }
        }
    }

    /// Wakes the task that has waited longest.
    pub fn notify_one(&self) {
        let mut waiting = self.waiting.lock();
        if let Some(task) = waiting.pop_front() {
            // Under the lock, without which the task might be gone.
            task.unpark();
        }
    }

    /// Wakes all tasks that wait.
    pub fn notify_all(&self) {
        let mut waiting = self.waiting.lock();
        while let Some(task) = waiting.pop_front() {
            task.unpark();
        }
    }

    /// Whether nobody waits: a hint.
    pub fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty()
    }
}
