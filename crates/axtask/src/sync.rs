//! Locks and atomics: those of the CPU, or loom's.

use crate::NEVER;

/// A constructor that is `const`, so that statics can be made with it, but under loom, whose locks
/// and atomics can't be made at compile time.
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty $body:block) => {
        #[cfg(not(loom))]
        $(#[$meta])* $vis const fn $name($($arg: $ty),*) -> $ret $body
        #[cfg(loom)]
        $(#[$meta])* $vis fn $name($($arg: $ty),*) -> $ret $body
    };
}

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
#[cfg(not(loom))]
pub(crate) use spin::mutex::SpinMutex as SpinLock;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

/// Waits a little for another CPU.
#[inline]
pub(crate) fn relax() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// Loom's mutex with the interface of a spin lock.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct SpinLock<T>(loom::sync::Mutex<T>);

#[cfg(loom)]
impl<T> SpinLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

/// A point in time, in ticks. `NEVER` is kept as zero, so that what holds it can be in memory that
/// is zero at the start, and takes no room in the image.
#[derive(Debug)]
pub(crate) struct Deadline(AtomicU64);

impl Deadline {
    const_fn! {
        pub(crate) fn never() -> Self {
            Self(AtomicU64::new(!NEVER))
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        !self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set(&self, time: u64) {
        self.0.store(!time, Ordering::Relaxed);
    }
}
