//! The scheduler with tasks that really run: each is a thread that runs only while it holds a
//! simulated CPU's baton. CPUs run at the same time; interrupts are taken at `poll` and in `idle`.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, Once, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use axtask::{
    CpuMask, Platform, RoundRobin, Scheduler, Task, TaskConfig, TaskName, TaskRef, WaitQueue,
};

const CPUS: usize = 4;

static SCHED: Scheduler<Threads> = Scheduler::new();
static START: LazyLock<Instant> = LazyLock::new(Instant::now);
static STACKS: AtomicUsize = AtomicUsize::new(0);
static LINES: [Line; CPUS] = [const { Line::new() }; CPUS];
static REQUESTS: Mutex<VecDeque<Box<dyn FnOnce() + Send>>> = Mutex::new(VecDeque::new());

thread_local! {
    static CPU: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// What interrupts a CPU.
struct Line {
    /// Kicked, and the time its timer is set to.
    state: Mutex<(bool, Option<u64>)>,
    changed: Condvar,
}

impl Line {
    const fn new() -> Self {
        Self {
            state: Mutex::new((false, None)),
            changed: Condvar::new(),
        }
    }
}

#[derive(Default)]
struct Baton {
    cpu: Mutex<Option<usize>>,
    given: Condvar,
}

impl Baton {
    fn give(&self, cpu: usize) {
        assert!(
            self.cpu.lock().unwrap().replace(cpu).is_none(),
            "on two CPUs"
        );
        self.given.notify_one();
    }

    fn take(&self) {
        let mut cpu = self.cpu.lock().unwrap();
        while cpu.is_none() {
            cpu = self.given.wait(cpu).unwrap();
        }
        CPU.set(cpu.take().unwrap());
    }
}

struct Threads;

struct Stack;

impl Drop for Stack {
    fn drop(&mut self) {
        STACKS.fetch_sub(1, Ordering::SeqCst);
    }
}

// SAFETY: a thread has a CPU's number only while it holds its baton.
unsafe impl Platform for Threads {
    type Context = Arc<Baton>;
    type Stack = Stack;
    type Data = ();
    type Policy = RoundRobin<Task<Self>>;

    fn new_stack() -> Option<Stack> {
        STACKS.fetch_add(1, Ordering::SeqCst);
        Some(Stack)
    }

    fn context_for(_: &Stack, entry: extern "C" fn(usize) -> !, arg: usize) -> Arc<Baton> {
        let baton = Arc::new(Baton::default());
        let own = baton.clone();
        thread::spawn(move || {
            own.take();
            entry(arg)
        });
        baton
    }

    unsafe fn switch(prev: *mut Arc<Baton>, next: *const Arc<Baton>) {
        // SAFETY: both are valid, by `switch`'s contract; `prev` isn't used after `next` runs.
        let own = unsafe {
            let own = (*prev).clone();
            (*next).give(CPU.get());
            own
        };
        own.take();
    }

    fn cpu() -> usize {
        CPU.get()
    }

    fn now() -> u64 {
        START.elapsed().as_nanos() as u64
    }

    fn ticks(ns: u64) -> u64 {
        // Short slices: more switches.
        ns / 50
    }

    fn set_timer(deadline: Option<u64>) {
        LINES[CPU.get()].state.lock().unwrap().1 = deadline;
    }

    fn kick(cpu: usize) {
        LINES[cpu].state.lock().unwrap().0 = true;
        LINES[cpu].changed.notify_one();
    }

    fn idle() {
        let line = &LINES[CPU.get()];
        let mut state = line.state.lock().unwrap();
        while !state.0 {
            let left = state.1.map(|at| at.saturating_sub(Self::now()));
            match left {
                Some(0) => break,
                // Without a timer nothing but an interrupt ends it.
                None => state = line.changed.wait(state).unwrap(),
                Some(left) => {
                    let left = Duration::from_nanos(left);
                    state = line.changed.wait_timeout(state, left).unwrap().0;
                }
            }
        }
        drop(state);
        interrupts();
    }
}

/// Takes this CPU's interrupts.
fn interrupts() {
    let (kicked, due) = {
        let mut state = LINES[CPU.get()].state.lock().unwrap();
        let due = state.1.is_some_and(|at| at <= Threads::now());
        (std::mem::take(&mut state.0), due)
    };
    if kicked {
        SCHED.ipi();
        let request = REQUESTS.lock().unwrap().pop_front();
        if let Some(request) = request {
            request();
        }
    }
    if due {
        SCHED.timer_interrupt();
    }
}

/// Where a task that runs long takes interrupts and is switched.
fn poll() {
    interrupts();
    SCHED.preempt();
}

fn spawn(name: &str, cpus: u64, run: impl FnOnce() -> usize + Send + 'static) -> TaskRef<Threads> {
    let config = TaskConfig {
        name: TaskName::new(name),
        priority: 5,
        affinity: CpuMask::from_bits(cpus),
        data: (),
    };
    SCHED.spawn(config, run).unwrap()
}

/// Runs `test` as a task, with the machine for itself, and waits for its end.
fn run(test: impl FnOnce() + Send + 'static) {
    static STARTED: Once = Once::new();
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock();
    STARTED.call_once(|| {
        for cpu in 0..CPUS {
            thread::spawn(move || {
                CPU.set(cpu);
                SCHED.init_cpu(());
                SCHED.run_idle()
            });
        }
    });
    while SCHED.online().bits().count_ones() as usize != CPUS {
        thread::yield_now();
    }
    let (done, end) = mpsc::channel();
    REQUESTS.lock().unwrap().push_back(Box::new(move || {
        spawn("test", !0, move || {
            test();
            done.send(()).unwrap();
            0
        });
    }));
    Threads::kick(0);
    end.recv_timeout(Duration::from_secs(60))
        .expect("a task hangs or has panicked");
    // The task itself is buried right after.
    let end = Instant::now() + Duration::from_secs(10);
    while STACKS.load(Ordering::SeqCst) != 0 {
        assert!(Instant::now() < end, "a stack is left");
        thread::yield_now();
    }
}

#[test]
fn tasks_run_and_are_joined() {
    run(|| {
        let tasks: Vec<_> = (0..60)
            .map(|number| {
                spawn("adder", 0b1111, move || {
                    for _ in 0..number {
                        SCHED.yield_now();
                        poll();
                    }
                    if number % 2 == 0 {
                        SCHED.exit(number);
                    }
                    number
                })
            })
            .collect();
        let sum: usize = tasks.iter().map(|task| task.join()).sum();
        assert_eq!(sum, 59 * 60 / 2);
        assert!(tasks.iter().all(|task| task.is_gone()));
        // Waking what is gone does nothing.
        tasks.iter().for_each(|task| task.unpark());
    });
}

#[test]
fn two_tasks_wake_each_other() {
    run(|| {
        const ROUNDS: usize = 3000;
        let turn = Arc::new(AtomicUsize::new(0));
        let player = |me: usize, other: Arc<Mutex<Option<TaskRef<Threads>>>>| {
            let turn = turn.clone();
            move || {
                for _ in 0..ROUNDS {
                    while turn.load(Ordering::SeqCst) % 2 != me {
                        SCHED.park();
                    }
                    turn.fetch_add(1, Ordering::SeqCst);
                    let other = other.lock().unwrap();
                    if let Some(other) = &*other {
                        other.unpark();
                    }
                    drop(other);
                    poll();
                }
                me
            }
        };
        let slots: [Arc<Mutex<Option<TaskRef<Threads>>>>; 2] = Default::default();
        let first = spawn("ping", 0b0011, player(0, slots[1].clone()));
        let second = spawn("pong", 0b0110, player(1, slots[0].clone()));
        *slots[0].lock().unwrap() = Some(first.clone());
        *slots[1].lock().unwrap() = Some(second.clone());
        // Their first wake-ups may have found nobody.
        first.unpark();
        second.unpark();
        assert_eq!((first.join(), second.join()), (0, 1));
        assert_eq!(turn.load(Ordering::SeqCst), 2 * ROUNDS);
    });
}

#[test]
fn a_wait_queue_loses_nobody() {
    run(|| {
        const EACH: usize = 400;
        struct Buffer {
            items: Mutex<usize>,
            filled: WaitQueue<Threads>,
            drained: WaitQueue<Threads>,
        }
        let buffer = Arc::new(Buffer {
            items: Mutex::new(0),
            filled: WaitQueue::new(),
            drained: WaitQueue::new(),
        });
        let worker = |from: usize, to: usize, fills: bool| {
            let buffer = buffer.clone();
            move || {
                for _ in 0..EACH {
                    let (own, other) = if fills {
                        (&buffer.drained, &buffer.filled)
                    } else {
                        (&buffer.filled, &buffer.drained)
                    };
                    own.wait_until(&SCHED, || {
                        let mut items = buffer.items.lock().unwrap();
                        let fits = (from..to).contains(&*items);
                        if fits && fills {
                            *items += 1;
                        } else if fits {
                            *items -= 1;
                        }
                        fits
                    });
                    other.notify_one();
                    poll();
                }
                0
            }
        };
        let mut tasks = Vec::new();
        for _ in 0..4 {
            tasks.push(spawn("fill", 0b1111, worker(0, 3, true)));
            tasks.push(spawn("drain", 0b1111, worker(1, 4, false)));
        }
        assert!(tasks.iter().all(|task| task.join() == 0));
        assert_eq!(*buffer.items.lock().unwrap(), 0);
        assert!(buffer.filled.is_empty() && buffer.drained.is_empty());
    });
}

#[test]
fn sleepers_wake_in_time() {
    run(|| {
        let tasks: Vec<_> = (1..8u64)
            .map(|n| {
                spawn("sleeper", 0b1111, move || {
                    let until = Threads::now() + n * 3_000_000;
                    SCHED.sleep_until(until);
                    (Threads::now() >= until).into()
                })
            })
            .collect();
        assert!(tasks.iter().all(|task| task.join() == 1));
        // A wait that nobody ends.
        let until = Threads::now() + 5_000_000;
        let queue = WaitQueue::<Threads>::new();
        assert!(!queue.wait_until_deadline(&SCHED, until, || false));
        assert!(Threads::now() >= until && queue.is_empty());
        // A deadline that is not needed: the timer is gone afterwards, and so is the token.
        let me = SCHED.current().unwrap();
        let waker = spawn("waker", 0b1111, move || {
            me.unpark();
            0
        });
        SCHED.park_until(Threads::now() + 1_000_000_000_000);
        waker.join();
    });
}

#[test]
fn tasks_move_while_they_run_sleep_and_wait() {
    run(|| {
        let tasks: Vec<_> = (0..6)
            .map(|number| {
                spawn("mover", 0b1111, move || {
                    let me = SCHED.current().unwrap();
                    for step in 0..300 {
                        let cpu = (number + step) % CPUS;
                        SCHED.set_affinity(&me, CpuMask::single(cpu)).unwrap();
                        SCHED.preempt();
                        assert_eq!(Threads::cpu(), cpu);
                        poll();
                        if step % 50 == 0 {
                            SCHED.sleep_until(Threads::now() + 100_000);
                            assert_eq!(Threads::cpu(), cpu);
                        }
                    }
                    0
                })
            })
            .collect();
        // And one that others move and wake, without end, until all are done.
        let moved = spawn("moved", 0b1111, || {
            for _ in 0..500 {
                SCHED.park();
            }
            0
        });
        let mut step = 0;
        while !moved.is_gone() {
            step += 1;
            let mask = CpuMask::from_bits(1 + step % 15);
            SCHED.set_affinity(&moved, mask).unwrap();
            moved.unpark();
            poll();
        }
        assert!(tasks.iter().all(|task| task.join() == 0));
    });
}
