//! Tasks, run queues, scheduling policies, wait queues and timers.
//!
//! Everything is generic over [`Platform`], which the hypervisor implements with its hardware layer
//! and host tests with a fake. All functions here are called with this CPU's interrupts masked,
//! so per-CPU data can't change under their feet and the locks are plain spin locks. Lock order:
//! wait queue, run queue (never two), timer queue. Nothing allocates but [`Scheduler::spawn`] and
//! [`Scheduler::init_cpu`].
//!
//! How a task moves (`sched.rs`): a task is *current* on one CPU, *queued* on one, or *parked*.
//! Whoever wins the change of its [`ParkState`] from parked to running queues it, so it is never
//! queued twice. While its registers are not saved yet ([`OnCpu`]) it can only be queued on the
//! CPU it is leaving, which by itself can't switch to it too early.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

#[macro_use]
mod sync;

mod cpu;
mod list;
mod mask;
mod place;
mod platform;
mod policy;
mod sched;
mod state;
mod task;
mod timer;
mod wait;

pub use list::{Entry, Link, Linked, List};
pub use mask::CpuMask;
pub use platform::Platform;
pub use policy::{Place, Policy, RoundRobin, Run, Schedulable};
pub use sched::Scheduler;
pub use state::{OnCpu, ParkState};
pub use task::{SpawnError, Task, TaskConfig, TaskName, TaskRef};
pub use timer::Timer;
pub use wait::WaitQueue;

/// The most CPUs there can be.
#[cfg(not(loom))]
pub const MAX_CPUS: usize = 64;
/// Few, as loom tracks each CPU's locks and atomics.
#[cfg(loom)]
pub const MAX_CPUS: usize = 2;

/// Number of priorities. 0 is the least urgent.
pub const PRIORITIES: u8 = 16;

/// A deadline that does not come.
const NEVER: u64 = u64::MAX;
