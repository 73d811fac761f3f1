//! Which of the tasks queued on a CPU runs next: pure code.

use crate::{Entry, Linked, List, PRIORITIES};

/// The kind of lists that run queues are made of.
#[derive(Debug)]
pub struct Run;

/// What a policy knows of a task.
pub trait Schedulable: Linked<Run> {
    /// Its priority, below [`PRIORITIES`]; higher is more urgent.
    fn priority(&self) -> u8;
}

/// Where a task goes among its equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind them: it woke, yields, or has used its time slice.
    Back,
    /// Before them: it was interrupted in its slice.
    Front,
}

/// The tasks that wait for one CPU, and their order. The one that runs is not among them. Called
/// under the CPU's run-queue lock.
pub trait Policy<T>: Send {
    /// No tasks.
    const EMPTY: Self;

    /// A full time slice, in nanoseconds.
    const SLICE_NS: u64;

    /// Adds a task.
    fn enqueue(&mut self, task: Entry<T>, place: Place);

    /// Takes the task that should run next.
    fn pick_next(&mut self) -> Option<Entry<T>>;

    /// Takes this task out, which is queued here.
    fn remove(&mut self, task: Entry<T>);

    /// Whether a task waits that should run when `current`'s time slice is over.
    fn contended(&self, current: &T) -> bool;

    /// Whether `woken` should run at once instead of `current`.
    fn should_preempt(&self, current: &T, woken: &T) -> bool;
}

/// Strict priorities, and equal time slices in turn within one.
#[derive(Debug)]
pub struct RoundRobin<T> {
    levels: [List<T, Run>; PRIORITIES as usize],
    /// One bit for each priority whose list isn't empty.
    occupied: u16,
}

impl<T: Schedulable> RoundRobin<T> {
    /// A task's priority, made safe as an index and a shift.
    fn level(task: &T) -> usize {
        usize::from(task.priority().min(PRIORITIES - 1))
    }

    /// The highest priority at which a task waits.
    fn highest(&self) -> Option<usize> {
        self.occupied.checked_ilog2().map(|level| level as usize)
    }

    /// Sets or clears a level's bit after its list has changed.
    fn note(&mut self, level: usize) {
        let bit = 1 << level;
        match self.levels.get(level) {
            Some(list) if !list.is_empty() => self.occupied |= bit,
            _ => self.occupied &= !bit,
        }
    }
}

impl<T: Schedulable + Sync> Policy<T> for RoundRobin<T> {
    const EMPTY: Self = Self {
        levels: [const { List::new() }; PRIORITIES as usize],
        occupied: 0,
    };

    const SLICE_NS: u64 = 10_000_000;

    fn enqueue(&mut self, task: Entry<T>, place: Place) {
        let level = Self::level(&task);
        if let Some(list) = self.levels.get_mut(level) {
            match place {
                Place::Back => list.push_back(task),
                Place::Front => list.push_front(task),
            }
        }
        self.note(level);
    }

    fn pick_next(&mut self) -> Option<Entry<T>> {
        let level = self.highest()?;
        let task = self.levels.get_mut(level)?.pop_front();
        self.note(level);
        task
    }

    fn remove(&mut self, task: Entry<T>) {
        let level = Self::level(&task);
        if let Some(list) = self.levels.get_mut(level) {
            list.remove(task);
        }
        self.note(level);
    }

    fn contended(&self, current: &T) -> bool {
        self.highest()
            .is_some_and(|level| level >= Self::level(current))
    }

    fn should_preempt(&self, current: &T, woken: &T) -> bool {
        Self::level(woken) > Self::level(current)
    }
}
