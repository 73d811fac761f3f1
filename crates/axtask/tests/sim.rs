//! The scheduler on simulated CPUs, all on one thread, against what its rules say.
//!
//! A switch changes which task is a CPU's current one and returns at once; the test decides what
//! the current task of a CPU does next. Interrupts are recorded, and delivered by `settle`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;

use axtask::{
    CpuMask, Platform, Policy, RoundRobin, Scheduler, SpawnError, Task, TaskConfig, TaskName,
    TaskRef, Timer,
};
use proptest::prelude::*;

const CPUS: usize = 3;
const SLICE: u64 = 10_000_000;

#[derive(Default)]
struct Machine {
    cpu: Cell<usize>,
    now: Cell<u64>,
    kicked: [Cell<u32>; CPUS],
    kicks: Cell<usize>,
    timers: [Cell<Option<u64>>; CPUS],
    switches: Cell<usize>,
    /// Stacks there are, and how many there may be.
    stacks: Cell<usize>,
    limit: Cell<usize>,
    fired: RefCell<Vec<(usize, u64)>>,
}

thread_local! {
    static M: Machine = Machine { limit: Cell::new(100), ..Machine::default() };
}

struct Sim;

/// Whether a task's registers are in its record.
#[derive(Default)]
struct Registers(bool);

struct Stack;

impl Drop for Stack {
    fn drop(&mut self) {
        M.with(|m| m.stacks.set(m.stacks.get() - 1));
    }
}

// SAFETY: CPU numbers are below `CPUS`; switches do what the text above says.
unsafe impl Platform for Sim {
    type Context = Registers;
    type Stack = Stack;
    type Data = usize;
    type Policy = RoundRobin<Task<Self>>;

    fn new_stack() -> Option<Stack> {
        M.with(|m| {
            let stacks = m.stacks.get();
            (stacks < m.limit.get()).then(|| {
                m.stacks.set(stacks + 1);
                Stack
            })
        })
    }

    fn context_for(_: &Stack, _: extern "C" fn(usize) -> !, _: usize) -> Registers {
        Registers(true)
    }

    unsafe fn switch(prev: *mut Registers, next: *const Registers) {
        // SAFETY: both are valid and nobody else uses them, by `switch`'s contract.
        unsafe {
            assert!(!(*prev).0, "saved twice");
            assert!((*next).0, "loaded before it was saved");
            (*prev).0 = true;
            (*next.cast_mut()).0 = false;
        }
        M.with(|m| m.switches.set(m.switches.get() + 1));
    }

    fn switching(prev: &Task<Self>, next: &Task<Self>) {
        assert!(!std::ptr::eq(prev, next));
    }

    fn cpu() -> usize {
        M.with(|m| m.cpu.get())
    }

    fn now() -> u64 {
        M.with(|m| m.now.get())
    }

    fn ticks(ns: u64) -> u64 {
        ns
    }

    fn set_timer(deadline: Option<u64>) {
        M.with(|m| m.timers[m.cpu.get()].set(deadline));
    }

    fn kick(cpu: usize) {
        M.with(|m| {
            assert_ne!(cpu, m.cpu.get());
            m.kicked[cpu].set(m.kicked[cpu].get() + 1);
            m.kicks.set(m.kicks.get() + 1);
        });
    }

    /// Only reached when a task that has exited would go on: the way out of `exit`.
    fn idle() {
        resume_unwind(Box::new(()));
    }
}

type Sched = &'static Scheduler<Sim>;

fn on<R>(cpu: usize, f: impl FnOnce() -> R) -> R {
    let before = M.with(|m| m.cpu.replace(cpu));
    let result = f();
    M.with(|m| m.cpu.set(before));
    result
}

/// Idle tasks carry this.
const IDLE: usize = usize::MAX;

fn machine() -> Sched {
    assert_eq!(RoundRobin::<Task<Sim>>::SLICE_NS, SLICE);
    let sched: Sched = Box::leak(Box::new(Scheduler::new()));
    for cpu in 0..CPUS {
        on(cpu, || sched.init_cpu(IDLE));
    }
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

fn current(sched: Sched, cpu: usize) -> usize {
    on(cpu, || sched.with_current(|task| *task.data()).unwrap())
}

/// Delivers interrupts until there are none. A CPU looks whether it should switch only after an
/// interrupt, so one that is not sent is missed.
fn settle(sched: Sched) {
    // But this one, which may have found something by its own doing.
    sched.preempt();
    for _ in 0..1000 {
        let mut quiet = true;
        for cpu in 0..CPUS {
            let (kicked, timer, now) = M.with(|m| {
                let kicked = m.kicked[cpu].replace(0) > 0;
                (kicked, m.timers[cpu].get(), m.now.get())
            });
            let due = timer.is_some_and(|at| at <= now);
            on(cpu, || {
                if kicked {
                    sched.ipi();
                }
                if due {
                    sched.timer_interrupt();
                }
                if kicked || due {
                    quiet = false;
                    sched.preempt();
                }
            });
        }
        if quiet {
            return;
        }
    }
    panic!("an interrupt without end");
}

fn exit(sched: Sched, cpu: usize) {
    on(cpu, || {
        let end = catch_unwind(AssertUnwindSafe(|| sched.exit(cpu)));
        assert!(end.is_err());
    });
    M.with(|m| m.cpu.set(0));
}

fn timer(cpu: usize) -> Option<u64> {
    M.with(|m| m.timers[cpu].get())
}

fn pass(ticks: u64) {
    M.with(|m| m.now.set(m.now.get() + ticks));
}

#[derive(Clone, Debug)]
enum Op {
    Spawn(u8, u64),
    Park(usize),
    Unpark(prop::sample::Index, usize),
    Yield(usize),
    Exit(usize),
    Affinity(prop::sample::Index, u64, usize),
    Pass(u64),
    Settle,
}

fn ops() -> impl Strategy<Value = Op> {
    let cpu = 0..CPUS;
    let mask = 1..1u64 << CPUS;
    let index = any::<prop::sample::Index>();
    prop_oneof![
        3 => (0..4u8, mask.clone()).prop_map(|(p, m)| Op::Spawn(p, m)),
        3 => cpu.clone().prop_map(Op::Park),
        4 => (index.clone(), cpu.clone()).prop_map(|(t, c)| Op::Unpark(t, c)),
        2 => cpu.clone().prop_map(Op::Yield),
        1 => cpu.clone().prop_map(Op::Exit),
        2 => (index, mask, cpu).prop_map(|(t, m, c)| Op::Affinity(t, m, c)),
        3 => (1..SLICE * 2).prop_map(Op::Pass),
        3 => Just(Op::Settle),
    ]
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Ready { token: bool },
    Parked,
    Gone,
}

struct Known {
    task: TaskRef<Sim>,
    priority: u8,
    state: State,
}

/// What must hold when all interrupts are delivered.
fn check(sched: Sched, tasks: &[Known]) {
    let running: Vec<usize> = (0..CPUS).map(|cpu| current(sched, cpu)).collect();
    for (id, known) in tasks.iter().enumerate() {
        let on_cpus: Vec<usize> = (0..CPUS).filter(|cpu| running[*cpu] == id).collect();
        match known.state {
            State::Ready { .. } => {
                let cpu = known.task.cpu();
                assert!(known.task.affinity().contains(cpu), "{id} on {cpu}");
                if on_cpus.is_empty() {
                    // It waits where nothing less urgent runs.
                    let runs = tasks.get(running[cpu]).expect("idle, though a task waits");
                    assert!(runs.priority >= known.priority);
                    if runs.priority == known.priority {
                        let now = M.with(|m| m.now.get());
                        assert!(timer(cpu).is_some_and(|at| at <= now + SLICE));
                    }
                } else {
                    assert_eq!(on_cpus, [cpu]);
                }
            }
            state => assert!(on_cpus.is_empty(), "{state:?}"),
        }
        assert_eq!(known.task.is_gone(), known.state == State::Gone);
    }
    for cpu in 0..CPUS {
        let ready =
            |known: &&Known| matches!(known.state, State::Ready { .. }) && known.task.cpu() == cpu;
        if tasks.iter().filter(ready).count() < 2 {
            // A slice that began before may still end, once.
            on(cpu, || {
                if let Some(at) = timer(cpu) {
                    M.with(|m| m.now.set(m.now.get().max(at)));
                    sched.timer_interrupt();
                }
            });
            assert_eq!(timer(cpu), None, "a tick for one task");
        }
    }
    let alive = tasks.iter().filter(|known| known.state != State::Gone);
    assert_eq!(M.with(|m| m.stacks.get()), alive.count());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn no_task_is_lost_and_priorities_are_strict(steps in prop::collection::vec(ops(), 1..80)) {
        M.with(|m| m.stacks.set(0));
        let sched = machine();
        let mut tasks: Vec<Known> = Vec::new();
        for step in steps {
            match step {
                Op::Spawn(priority, cpus) => {
                    let task = spawn(sched, tasks.len(), priority, cpus);
                    sched.preempt();
                    tasks.push(Known { task, priority, state: State::Ready { token: false } });
                }
                Op::Park(cpu) => {
                    if let Some(known) = tasks.get_mut(current(sched, cpu)) {
                        known.state = match known.state {
                            State::Ready { token: true } => State::Ready { token: false },
                            _ => State::Parked,
                        };
                        on(cpu, || sched.park());
                    }
                }
                Op::Unpark(which, from) if !tasks.is_empty() => {
                    let which = which.index(tasks.len());
                    let known = &mut tasks[which];
                    known.state = match known.state {
                        State::Ready { .. } => State::Ready { token: true },
                        State::Parked => State::Ready { token: false },
                        State::Gone => State::Gone,
                    };
                    on(from, || {
                        known.task.unpark();
                        sched.preempt();
                    });
                }
                Op::Yield(cpu) => on(cpu, || sched.yield_now()),
                Op::Exit(cpu) => {
                    if let Some(known) = tasks.get_mut(current(sched, cpu)) {
                        known.state = State::Gone;
                        exit(sched, cpu);
                        prop_assert_eq!(known.task.join(), cpu);
                    }
                }
                Op::Affinity(which, cpus, from) if !tasks.is_empty() => {
                    let task = &tasks[which.index(tasks.len())].task;
                    on(from, || {
                        sched.set_affinity(task, CpuMask::from_bits(cpus)).unwrap();
                        sched.preempt();
                    });
                }
                Op::Pass(ticks) => pass(ticks),
                Op::Settle => {
                    settle(sched);
                    check(sched, &tasks);
                }
                _ => {}
            }
        }
        settle(sched);
        check(sched, &tasks);
        // Whatever is ready gets its turn, and ends.
        let mut ready = tasks.iter().filter(|k| matches!(k.state, State::Ready { .. })).count();
        while let Some(cpu) = (0..CPUS).find(|cpu| current(sched, *cpu) != IDLE) {
            exit(sched, cpu);
            settle(sched);
            ready = ready.checked_sub(1).unwrap();
        }
        prop_assert_eq!(ready, 0);
    }
}

#[test]
fn equals_take_turns_and_one_alone_takes_no_tick() {
    let sched = machine();
    let first = spawn(sched, 0, 5, 0b10);
    settle(sched);
    assert_eq!((current(sched, 1), timer(1)), (0, None));
    spawn(sched, 1, 5, 0b10);
    assert_eq!(M.with(|m| m.kicked[1].get()), 1, "to start the slice");
    settle(sched);
    let mut order = Vec::new();
    for _ in 0..6 {
        order.push(current(sched, 1));
        assert_eq!(timer(1), Some(M.with(|m| m.now.get()) + SLICE));
        pass(SLICE);
        settle(sched);
    }
    assert_eq!(order, [0, 1, 0, 1, 0, 1]);
    // Less urgent ones change nothing for the others; alone again, it is left in peace.
    let kicks = M.with(|m| m.kicks.get());
    spawn(sched, 2, 4, 0b10);
    assert_eq!(M.with(|m| m.kicks.get()), kicks);
    on(1, || sched.park());
    assert_eq!((current(sched, 1), timer(1)), (1, None));
    on(0, || first.unpark());
    assert_eq!(M.with(|m| m.kicks.get()), kicks + 1);
    assert_eq!([timer(0), timer(2)], [None, None], "idle CPUs have no tick");
}

#[test]
fn an_interrupted_slice_is_not_renewed() {
    let sched = machine();
    spawn(sched, 0, 5, 0b01);
    settle(sched);
    spawn(sched, 1, 5, 0b01);
    let urgent = spawn(sched, 2, 9, 0b01);
    settle(sched);
    on(0, || sched.park());
    // Interrupted every third of its slice, task 0 still ends it after three.
    for turn in 0..3 {
        assert_eq!(current(sched, 0), 0, "turn {turn}");
        pass(SLICE / 3 + 1);
        urgent.unpark();
        settle(sched);
        if current(sched, 0) != 2 {
            break;
        }
        on(0, || sched.park());
    }
    assert_eq!(current(sched, 0), 1);
}

#[test]
fn a_wake_up_goes_to_an_idle_cpu() {
    let sched = machine();
    let task = spawn(sched, 0, 5, 0b111);
    settle(sched);
    let home = task.cpu();
    on(home, || sched.park());
    // Home again while it is free, or runs something less urgent.
    spawn(sched, 1, 4, 1 << home);
    settle(sched);
    task.unpark();
    settle(sched);
    assert_eq!((task.cpu(), current(sched, home)), (home, 0));
    on(home, || sched.park());
    // Elsewhere if not.
    spawn(sched, 2, 5, 1 << home);
    settle(sched);
    task.unpark();
    settle(sched);
    assert_ne!(task.cpu(), home);
    assert_eq!(current(sched, task.cpu()), 0);
}

#[test]
fn a_wake_up_costs_one_interrupt_and_two_switches() {
    let sched = machine();
    let sleeper = spawn(sched, 0, 5, 0b10);
    settle(sched);
    let before = M.with(|m| (m.kicks.get(), m.switches.get()));
    on(1, || sched.park());
    sleeper.unpark();
    sleeper.unpark();
    settle(sched);
    let after = M.with(|m| (m.kicks.get(), m.switches.get()));
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 2));
    assert_eq!(current(sched, 1), 0);
}

#[test]
fn two_wake_ups_at_once_go_to_two_cpus() {
    let sched = machine();
    let tasks = [0, 1].map(|data| spawn(sched, data, 5, 0b110));
    settle(sched);
    let home = tasks[0].cpu();
    on(home, || sched.park());
    on(3 - home, || sched.park());
    // Both were on the same CPU last.
    let both = CpuMask::from_bits(0b110);
    sched
        .set_affinity(&tasks[1], CpuMask::single(home))
        .unwrap();
    tasks[1].unpark();
    settle(sched);
    on(home, || sched.park());
    sched.set_affinity(&tasks[1], both).unwrap();
    tasks[0].unpark();
    tasks[1].unpark();
    assert_ne!(tasks[0].cpu(), tasks[1].cpu());
    settle(sched);
    assert!((1..3).all(|cpu| current(sched, cpu) != IDLE));
}

/// Counts allocations by thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: it is the system's allocator, which is counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn only_a_spawn_allocates() {
    let sched = machine();
    let before = ALLOCATIONS.get();
    let tasks = [0, 1, 2].map(|data| spawn(sched, data, 5, 0b111));
    let timer = Arc::pin(Timer::new(sched, note, 0));
    assert!(ALLOCATIONS.get() > before);
    settle(sched);
    let before = ALLOCATIONS.get();
    for cpu in 0..CPUS {
        on(cpu, || sched.park());
        tasks.iter().for_each(|task| task.unpark());
        on(cpu, || timer.as_ref().arm(u64::MAX - 1));
        sched.set_affinity(&tasks[0], CpuMask::single(cpu)).unwrap();
        settle(sched);
        on(cpu, || sched.yield_now());
        pass(SLICE);
        settle(sched);
    }
    assert_eq!(ALLOCATIONS.get(), before);
}

fn note(arg: usize) {
    M.with(|m| m.fired.borrow_mut().push((arg, m.now.get())));
}

#[test]
fn timers_fire_in_order_where_they_were_armed() {
    let sched = machine();
    let timers: Vec<Pin<Arc<Timer<Sim>>>> = (0..4)
        .map(|id| Arc::pin(Timer::new(sched, note, id)))
        .collect();
    for (id, at) in [(0, 300), (1, 100), (2, 200), (3, 200)] {
        on(1, || timers[id].as_ref().arm(at));
    }
    assert_eq!((timer(1), timer(0)), (Some(100), None));
    assert!(on(1, || timers[1].cancel()));
    assert!(!timers[1].cancel());
    assert_eq!(timer(1), Some(200), "told at once");
    // Moved to another CPU.
    on(2, || timers[3].as_ref().arm(250));
    assert_eq!(timer(2), Some(250));
    pass(220);
    settle(sched);
    assert_eq!(timer(1), Some(300));
    pass(80);
    settle(sched);
    assert_eq!([timer(1), timer(2)], [None, None]);
    assert_eq!(M.with(|m| m.fired.take()), [(2, 220), (0, 300), (3, 300)]);
    // Dropped while armed, it is gone.
    on(0, || timers[0].as_ref().arm(400));
    drop(timers);
    assert_eq!(timer(0), None);
    pass(1000);
    settle(sched);
    assert!(M.with(|m| m.fired.take()).is_empty());
}

#[test]
fn what_can_not_be_spawned_is_refused() {
    let sched = machine();
    let config = |priority, cpus| TaskConfig {
        name: TaskName::new("a name that is too long ü"),
        priority,
        affinity: CpuMask::from_bits(cpus),
        data: 0,
    };
    let refused = |config| sched.spawn(config, || 0).unwrap_err();
    assert_eq!(
        refused(config(0, 1 << CPUS)),
        SpawnError::NoCpu(CpuMask::single(CPUS))
    );
    assert_eq!(refused(config(16, 1)), SpawnError::Priority(16));
    M.with(|m| m.limit.set(m.stacks.get()));
    assert_eq!(refused(config(0, 1)), SpawnError::NoStack);
    M.with(|m| m.limit.set(100));
    let task = sched.spawn(config(0, 1), || 0).unwrap();
    assert_eq!(task.name(), "a name that is ");
    assert_eq!(
        TaskName::new("fourteen chars\u{fc}").as_str(),
        "fourteen chars"
    );
    assert!(matches!(
        sched.set_affinity(&task, CpuMask::single(CPUS)),
        Err(SpawnError::NoCpu(_))
    ));
}
