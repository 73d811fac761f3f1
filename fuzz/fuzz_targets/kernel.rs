//! Any bytes are a kernel that goes into RAM, each byte of it written once, or are refused; and
//! neither planning nor unpacking takes heap for what a header says.
#![no_main]

mod heap;

use std::{cell::RefCell, ops::Range};

use axloader::{
    AARCH64, GuestMemory, Inputs, LoadError, LoadPlan, Loader, RISCV64, STEP_BYTES, fdt,
};
use libfuzzer_sys::fuzz_target;

const RAM: [Range<u64>; 2] = [0x4000_0000..0x4080_0000, 0x40a0_0000..0x4100_0000];
/// Segments, of which an ELF file may have 64, and the state of unpacking.
const HEAP: usize = 128 << 10;

/// What was written, in order.
#[derive(Default)]
struct Memory(RefCell<Vec<Range<u64>>>);

impl Memory {
    fn wrote(&self, gpa: u64, len: u64) {
        let end = gpa.checked_add(len).expect("wraps");
        assert!(len != 0 && gpa / STEP_BYTES == (end - 1) / STEP_BYTES);
        assert!(RAM.iter().any(|ram| ram.start <= gpa && end <= ram.end));
        let mut all = self.0.borrow_mut();
        match all.last_mut() {
            Some(last) if last.end == gpa => last.end = end,
            _ => all.push(gpa..end),
        }
    }
}

impl GuestMemory for &Memory {
    type Error = ();

    fn write(&mut self, gpa: u64, data: &[u8]) -> Result<(), ()> {
        self.wrote(gpa, data.len() as u64);
        Ok(())
    }

    fn zero(&mut self, gpa: u64, len: u64) -> Result<(), ()> {
        self.wrote(gpa, len);
        Ok(())
    }
}

/// An address or none: near the start of RAM, on a page there, or anywhere.
fn address(head: &[u8]) -> Option<u64> {
    let (kind, value) = head.split_first_chunk()?;
    let value = u64::from_le_bytes(*value.first_chunk()?);
    match kind {
        [0] => None,
        [1] => Some(RAM[0].start + value % 0x100_0000),
        [2] => Some(RAM[0].start + (value % 0x1000 << 12)),
        _ => Some(value),
    }
}

fuzz_target!(|bytes: &[u8]| {
    // The file comes last, so that one of the corpus stays what it is.
    let Some((head, kernel)) = bytes.split_at_checked(40) else {
        return;
    };
    let at = |n: usize| address(&head[1 + 9 * n..]);
    let ramdisk = [0x5a; 5000];
    let inputs = Inputs {
        protocol: if head[0] & 1 == 0 { &AARCH64 } else { &RISCV64 },
        ram: &RAM,
        kernel,
        kernel_addr: at(0),
        bios: (head[0] & 2 != 0).then_some((&ramdisk[..16], RAM[1].start)),
        entry: at(1),
        ramdisk: (head[0] & 4 != 0).then_some(&ramdisk[..]),
        ramdisk_addr: at(2),
        dtb_addr: at(3),
        dtb_room: fdt::ROOM,
    };
    let plan = heap::bounded(HEAP, || LoadPlan::new(&inputs));
    let Ok(mut plan) = plan else {
        return;
    };
    if plan.set_dtb(vec![9; 3000]).is_err() {
        // A place that was chosen has the room that was asked for.
        assert!(inputs.dtb_addr.is_some());
        return;
    }
    let memory = Memory(RefCell::new(Vec::with_capacity(256)));
    match heap::bounded(HEAP, || Loader::new(&plan).run(&mut &memory)) {
        Ok(()) => {
            let mut wrote = memory.0.into_inner();
            wrote.sort_by_key(|range| range.start);
            assert!(
                wrote
                    .iter()
                    .zip(wrote.iter().skip(1))
                    .all(|(a, b)| a.end <= b.start)
            );
            let sum = |ranges: &[Range<u64>]| ranges.iter().map(|r| r.end - r.start).sum::<u64>();
            assert_eq!(sum(&wrote), sum(&plan.overwritten()));
            let holds = |at, len| wrote.iter().any(|r| r.start <= at && at + len <= r.end);
            assert!(holds(plan.dtb(), 3000) && holds(plan.entry(), 1));
            let ramdisk = plan.ramdisk();
            assert!(ramdisk.is_none_or(|r| holds(r.start, r.end - r.start)));
        }
        Err(LoadError::Gzip(_)) => {}
        Err(LoadError::Memory { .. }) => unreachable!("this memory takes everything"),
    }
});
