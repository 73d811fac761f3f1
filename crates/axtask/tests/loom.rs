//! Every interleaving of sleeping, waking and switching, on the real scheduler.
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p axtask --test loom --release`.
//!
//! A loom thread is a CPU. A switch changes which task is the CPU's current one and returns at
//! once, as if every task were at the same place in the same program. The tasks' registers are
//! loom cells: loads and stores of them which nothing orders fail the test.
#![cfg(loom)]

use std::sync::atomic::{AtomicBool, Ordering};

use axtask::{
    CpuMask, Platform, RoundRobin, Scheduler, Task, TaskConfig, TaskName, TaskRef, Timer,
};
use loom::cell::UnsafeCell;
use loom::thread;

loom::thread_local! {
    static CPU: std::cell::Cell<usize> = std::cell::Cell::new(0);
}

struct Sim;

/// How often a task was saved: written by each switch from it, read by each switch to it.
struct Registers(UnsafeCell<usize>);

impl Default for Registers {
    fn default() -> Self {
        Self(UnsafeCell::new(0))
    }
}

// SAFETY: CPU numbers are set by each thread; switches do what the text above says.
unsafe impl Platform for Sim {
    type Context = Registers;
    type Stack = ();
    type Data = usize;
    type Policy = RoundRobin<Task<Self>>;

    fn new_stack() -> Option<()> {
        Some(())
    }

    fn context_for(_: &(), _: extern "C" fn(usize) -> !, _: usize) -> Registers {
        Registers::default()
    }

    unsafe fn switch(prev: *mut Registers, next: *const Registers) {
        // SAFETY: both are valid; loom checks that nobody else uses them.
        unsafe {
            (*prev).0.with_mut(|saved| *saved += 1);
            (*next).0.with_mut(|saved| *saved += 1);
        }
    }

    fn cpu() -> usize {
        CPU.with(|cpu| cpu.get())
    }

    fn now() -> u64 {
        0
    }

    fn ticks(ns: u64) -> u64 {
        ns
    }

    fn set_timer(_: Option<u64>) {}

    /// The tests look at `need_resched` after joining instead.
    fn kick(_: usize) {}

    fn idle() {}
}

type Sched = &'static Scheduler<Sim>;

fn on<R>(cpu: usize, f: impl FnOnce() -> R) -> R {
    CPU.with(|current| current.set(cpu));
    f()
}

fn machine() -> Sched {
    let sched: Sched = Box::leak(Box::new(Scheduler::new()));
    on(1, || sched.init_cpu(11));
    on(0, || sched.init_cpu(10));
    sched
}

fn spawn(sched: Sched, data: usize, priority: u8, cpus: u64) -> TaskRef<Sim> {
    let config = TaskConfig {
        name: TaskName::new("task"),
        priority,
        affinity: CpuMask::from_bits(cpus),
        data,
    };
    sched.spawn(config, || 0).unwrap()
}

fn current(sched: Sched) -> usize {
    sched.with_current(|task| *task.data()).unwrap()
}

/// A task parks while another CPU unparks it: it runs on, or it is told to its CPU.
#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let sched = machine();
        let task = spawn(sched, 0, 4, 0b01);
        sched.preempt();
        assert_eq!(current(sched), 0);
        let waker = {
            let task = task.clone();
            thread::spawn(move || on(1, || task.unpark()))
        };
        on(0, || sched.park());
        waker.join().unwrap();
        sched.preempt();
        assert_eq!(current(sched), 0);
        // And the wake-up was taken once.
        sched.park();
        assert_eq!(current(sched), 10);
    });
}

/// Two CPUs wake it at once: it is queued once.
#[test]
fn two_wakers_queue_it_once() {
    loom::model(|| {
        let sched = machine();
        let task = spawn(sched, 0, 4, 0b01);
        sched.preempt();
        sched.park();
        assert_eq!(current(sched), 10);
        let waker = {
            let task = task.clone();
            thread::spawn(move || on(1, || task.unpark()))
        };
        on(0, || task.unpark());
        waker.join().unwrap();
        sched.preempt();
        assert_eq!(current(sched), 0);
        // The second became a token, or came before it was picked: either way it is one more
        // park at most.
        sched.park();
        sched.park();
        assert_eq!(current(sched), 10);
    });
}

/// A task that may run on both CPUs parks on CPU 0, which then has something more urgent to do,
/// while CPU 1, idle, wakes it and looks for work: it is in one place, and its registers are saved
/// before they are loaded.
#[test]
fn a_task_is_saved_before_it_runs_elsewhere() {
    static MOVED: AtomicBool = AtomicBool::new(false);
    static STAYED: AtomicBool = AtomicBool::new(false);
    loom::model(|| {
        let sched = machine();
        let task = spawn(sched, 0, 4, 0b11);
        sched.preempt();
        assert_eq!(current(sched), 0);
        spawn(sched, 1, 8, 0b01);
        let waker = {
            let task = task.clone();
            thread::spawn(move || {
                on(1, || {
                    task.unpark();
                    sched.preempt();
                    current(sched)
                })
            })
        };
        on(0, || sched.park());
        let there = waker.join().unwrap() == 0;
        // The urgent one goes to sleep, in case it runs already; if the task took a token instead
        // of sleeping, it is still here.
        sched.preempt();
        assert_eq!(current(sched), 1);
        sched.park();
        let here = current(sched) == 0;
        assert!(here != there);
        if there { &MOVED } else { &STAYED }.store(true, Ordering::Relaxed);
    });
    // Both did happen.
    assert!(MOVED.load(Ordering::Relaxed) && STAYED.load(Ordering::Relaxed));
}

/// The affinity changes from CPU 0 to CPU 1 while the task parks on CPU 0 and is woken.
#[test]
fn a_task_that_must_move_is_saved_first() {
    loom::model(|| {
        let sched = machine();
        let task = spawn(sched, 0, 4, 0b01);
        sched.preempt();
        let mover = {
            let task = task.clone();
            thread::spawn(move || {
                on(1, || {
                    sched.set_affinity(&task, CpuMask::single(1)).unwrap();
                    task.unpark();
                    sched.preempt();
                })
            })
        };
        on(0, || {
            sched.park();
            sched.preempt();
        });
        mover.join().unwrap();
        on(0, || sched.preempt());
        assert_eq!(on(0, || current(sched)), 10);
        on(1, || sched.preempt());
        assert_eq!(on(1, || current(sched)), 0);
    });
}

/// Something is written before a wake-up: the task sees it after its park.
#[test]
fn a_wake_up_carries_data() {
    loom::model(|| {
        let sched = machine();
        let task = spawn(sched, 0, 4, 0b01);
        sched.preempt();
        let data = std::sync::Arc::new(UnsafeCell::new(0));
        let waker = {
            let (task, data) = (task.clone(), data.clone());
            thread::spawn(move || {
                // SAFETY: loom checks it.
                data.with_mut(|data| unsafe { *data = 7 });
                on(1, || task.unpark());
            })
        };
        on(0, || sched.park());
        // Back in the task: at once, or after CPU 0 was told.
        on(0, || sched.preempt());
        if current(sched) == 0 {
            // SAFETY: loom checks it.
            assert_eq!(data.with(|data| unsafe { *data }), 7);
        }
        waker.join().unwrap();
    });
}

/// A timer fires on CPU 0 while CPU 1 cancels it: afterwards the callback has run or never will,
/// and what it used is CPU 1's alone.
#[test]
fn a_cancelled_timer_leaves_its_data_alone() {
    fn count(data: usize) {
        // SAFETY: the address of the cell below, which outlives the timer; loom checks the access.
        unsafe { (*(data as *const UnsafeCell<usize>)).with_mut(|data| *data += 1) };
    }
    loom::model(|| {
        let sched = machine();
        let data = std::sync::Arc::new(UnsafeCell::new(0));
        let arg = std::sync::Arc::as_ptr(&data) as usize;
        let timer = std::sync::Arc::pin(Timer::new(sched, count, arg));
        timer.as_ref().arm(0);
        let other = thread::spawn(move || {
            on(1, || {
                timer.cancel_sync();
                // SAFETY: loom checks it.
                let fired = data.with_mut(|data| unsafe { *data });
                drop(timer);
                // SAFETY: as above.
                assert_eq!(fired, data.with(|data| unsafe { *data }));
            });
        });
        on(0, || sched.timer_interrupt());
        other.join().unwrap();
    });
}
