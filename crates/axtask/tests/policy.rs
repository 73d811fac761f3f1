//! Round robin with priorities against a list that is searched.

use std::ptr::NonNull;

use axtask::{Entry, Link, Linked, PRIORITIES, Place, Policy, RoundRobin, Run, Schedulable};
use proptest::prelude::*;

struct Fake {
    id: usize,
    priority: u8,
    link: Link<Fake>,
}

// SAFETY: the tests use it from one thread.
unsafe impl Sync for Fake {}

// SAFETY: a field of its own.
unsafe impl Linked<Run> for Fake {
    fn link(&self) -> &Link<Self> {
        &self.link
    }
}

impl Schedulable for Fake {
    fn priority(&self) -> u8 {
        self.priority
    }
}

/// They stay in place: nothing is added later.
fn tasks(priorities: &[u8]) -> Vec<Fake> {
    let fake = |(id, &priority)| Fake {
        id,
        priority,
        link: Link::new(),
    };
    priorities.iter().enumerate().map(fake).collect()
}

fn entry(task: &Fake) -> Entry<Fake> {
    // SAFETY: the tasks outlive the queues of the tests.
    unsafe { Entry::new(NonNull::from(task)) }
}

#[derive(Clone, Debug)]
enum Op {
    Enqueue(prop::sample::Index, bool),
    Pick,
    Remove(prop::sample::Index),
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(i, f)| Op::Enqueue(i, f)),
        2 => Just(Op::Pick),
        1 => any::<prop::sample::Index>().prop_map(Op::Remove),
    ]
}

/// Where the next task is in the model: the first of the highest priority.
fn best(queue: &[usize], priorities: &[u8]) -> Option<usize> {
    let top = queue.iter().map(|&id| priorities[id]).max()?;
    queue.iter().position(|&id| priorities[id] == top)
}

proptest! {
    #[test]
    fn it_picks_what_a_search_would(
        priorities in prop::collection::vec(0..PRIORITIES, 1..12),
        steps in prop::collection::vec(ops(), 1..100),
    ) {
        let tasks = tasks(&priorities);
        let mut policy = RoundRobin::EMPTY;
        let mut model: Vec<usize> = Vec::new();
        for step in steps {
            match step {
                Op::Enqueue(which, front) => {
                    let id = which.index(tasks.len());
                    if model.contains(&id) {
                        continue;
                    }
                    policy.enqueue(entry(&tasks[id]), if front { Place::Front } else { Place::Back });
                    model.insert(if front { 0 } else { model.len() }, id);
                }
                Op::Pick => {
                    let expected = best(&model, &priorities).map(|at| model.remove(at));
                    prop_assert_eq!(policy.pick_next().map(|task| task.id), expected);
                }
                Op::Remove(which) => {
                    if model.is_empty() {
                        continue;
                    }
                    let id = model.remove(which.index(model.len()));
                    policy.remove(entry(&tasks[id]));
                }
            }
            for task in &tasks {
                let waits = model.iter().any(|&id| priorities[id] >= task.priority);
                prop_assert_eq!(policy.contended(task), waits);
                prop_assert_eq!(policy.should_preempt(&tasks[0], task), task.priority > priorities[0]);
            }
        }
    }

    /// In any stretch of turns, two tasks of the highest priority differ by one turn at most, and
    /// the others get none.
    #[test]
    fn turns_are_equal(
        priorities in prop::collection::vec(0..4u8, 1..10),
        turns in 1..200usize,
    ) {
        let tasks = tasks(&priorities);
        let mut policy = RoundRobin::EMPTY;
        for task in &tasks {
            policy.enqueue(entry(task), Place::Back);
        }
        let mut had = vec![0usize; tasks.len()];
        for _ in 0..turns {
            let task = policy.pick_next().unwrap();
            had[task.id] += 1;
            policy.enqueue(task, Place::Back);
        }
        let top = priorities.iter().max().unwrap();
        let share = turns / priorities.iter().filter(|p| *p == top).count();
        for (priority, had) in priorities.iter().zip(had) {
            if priority == top {
                prop_assert!((share..=share + 1).contains(&had));
            } else {
                prop_assert_eq!(had, 0);
            }
        }
    }
}

#[test]
fn priorities_out_of_range_count_as_the_highest() {
    let tasks = tasks(&[3, 255, PRIORITIES - 1]);
    let mut policy = RoundRobin::EMPTY;
    for task in &tasks {
        policy.enqueue(entry(task), Place::Back);
    }
    let order: Vec<_> = std::iter::from_fn(|| policy.pick_next().map(|task| task.id)).collect();
    assert_eq!(order, [1, 2, 0]);
}
