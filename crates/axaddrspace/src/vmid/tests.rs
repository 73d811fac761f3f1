use super::*;
use crate::fake::{self, Fake};
use std::collections::BTreeSet;

fn pool(ids: RangeInclusive<u16>) -> &'static Vmids {
    Box::leak(Box::new(Vmids::with_ids(ids)))
}

#[test]
fn four_vmids() {
    let pool = pool(1..=4);
    let mut held: Vec<Vmid<Fake>> = (0..4).map(|_| pool.alloc().unwrap()).collect();
    let ids: BTreeSet<u16> = held.iter().map(Vmid::id).collect();
    assert_eq!(ids, BTreeSet::from([1, 2, 3, 4]));
    for round in 0..100 {
        assert_eq!(pool.alloc::<Fake>().err(), Some(NoVmid { total: 4 }));
        fake::with(|s| s.flushes.clear());
        let back = held.swap_remove(round % 4);
        let id = back.id();
        drop(back);
        assert_eq!(fake::with(|s| s.flushes.clone()), [(id, None)]);
        held.push(pool.alloc().unwrap());
        assert_eq!(held.last().map(Vmid::id), Some(id));
    }
}

#[test]
fn widths() {
    for (bits, last) in [(2, 3), (8, 255), (16, 65535)] {
        let pool: &'static Vmids = Box::leak(Box::new(Vmids::new(bits)));
        let held: Vec<Vmid<Fake>> = std::iter::from_fn(|| pool.alloc().ok()).collect();
        assert_eq!(held.len(), last);
        assert_eq!(held.first().map(Vmid::id), Some(1), "0 is nobody's");
        assert_eq!(usize::from(held[last - 1].id()), last);
        // A flush in the fake looks at nothing here, so this is cheap.
        drop(held);
        assert!(pool.alloc::<Fake>().is_ok());
    }
}
