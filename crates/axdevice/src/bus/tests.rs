use super::*;
use proptest::prelude::*;
use spin::Mutex;

/// Answers reads with its number and the offset, and keeps what is written.
struct Probe {
    id: u64,
    written: Mutex<Vec<(u64, u64)>>,
}

impl MmioDevice for Probe {
    fn read(&self, access: Access) -> Result<u64, BusFault> {
        Ok(self.id << 32 | access.offset)
    }

    fn write(&self, access: Access, value: u64) -> Result<(), WriteFault> {
        self.written.lock().push((access.offset, value));
        Ok(())
    }

    fn reset(&self) {
        self.written.lock().clear();
    }
}

fn probe(id: u64) -> Arc<Probe> {
    let written = Mutex::new(Vec::new());
    Arc::new(Probe { id, written })
}

fn range(start: usize, end: usize) -> GuestPhysRange {
    GuestPhysRange {
        start: start.into(),
        end: end.into(),
    }
}

fn read(bus: &Bus, addr: usize, width: AccessWidth) -> Option<Result<u64, BusFault>> {
    bus.read(0, addr.into(), width, &mut LastHit::default())
}

#[test]
fn refuses_ranges_that_are_empty_or_overlap() {
    let mut bus = BusBuilder::new();
    for bad in [range(0x1000, 0x1000), range(0x2000, 0x1000)] {
        assert_eq!(bus.add(bad, probe(0)), Err(BusError::Range(bad)));
    }
    let first = range(0x2000, 0x3000);
    bus.add(first, probe(0)).unwrap();
    for new in [
        range(0x2000, 0x3000),
        range(0x1000, 0x2001),
        range(0x2fff, 0x4000),
        range(0x2800, 0x2801),
        range(0, usize::MAX),
    ] {
        let existing = first;
        assert_eq!(
            bus.add(new, probe(1)),
            Err(BusError::Overlap { new, existing })
        );
    }
    bus.add(range(0x1000, 0x2000), probe(1)).unwrap();
    bus.add(range(0x3000, usize::MAX), probe(2)).unwrap();
}

#[test]
fn an_access_belongs_to_one_device_or_none() {
    let mut bus = BusBuilder::new();
    bus.add(range(0x1000, 0x1006), probe(1)).unwrap();
    bus.add(range(0x1006, 0x2000), probe(2)).unwrap();
    let bus = bus.freeze();
    assert_eq!(read(&bus, 0xfff, AccessWidth::Word), None);
    assert_eq!(read(&bus, 0x2000, AccessWidth::Byte), None);
    assert_eq!(read(&bus, 0x1002, AccessWidth::Word), Some(Ok(2)));
    assert_eq!(read(&bus, 0x1004, AccessWidth::Word), Some(Err(BusFault)));
    assert_eq!(
        read(&bus, 0x1008, AccessWidth::Double),
        Some(Ok(2 << 32 | 2))
    );
    // Wider answers are cut.
    assert_eq!(read(&bus, 0x1008, AccessWidth::Word), Some(Ok(2)));
    assert_eq!(
        read(&bus, usize::MAX, AccessWidth::Double),
        None,
        "no wraparound"
    );
}

#[test]
fn writes_are_cut_to_their_width_and_reset_reaches_the_device() {
    let device = probe(7);
    let mut bus = BusBuilder::new();
    bus.add(range(0x1000, 0x2000), device.clone()).unwrap();
    let bus = bus.freeze();
    let mut last = LastHit::default();
    let done = bus.write(0, 0x1010.into(), AccessWidth::Half, 0x12345, &mut last);
    assert_eq!(done, Some(Ok(())));
    assert_eq!(*device.written.lock(), [(0x10, 0x2345)]);
    bus.reset();
    assert!(device.written.lock().is_empty());
    let beyond = bus.write(0, 0x1fff.into(), AccessWidth::Half, 0, &mut last);
    assert_eq!(beyond, Some(Err(WriteFault::Refused)));
}

proptest! {
    /// Whatever a vCPU used before, each address finds the device a linear search finds.
    #[test]
    fn finds_what_a_linear_search_finds(
        ranges in prop::collection::vec((0usize..4096, 1usize..64), 0..40),
        addrs in prop::collection::vec(0usize..4300, 1..200),
    ) {
        let mut builder = BusBuilder::new();
        let mut added: Vec<(usize, usize, u64)> = Vec::new();
        for (id, &(start, len)) in ranges.iter().enumerate() {
            let free = added.iter().all(|&(s, e, _)| start + len <= s || e <= start);
            prop_assert_eq!(builder.add(range(start, start + len), probe(id as u64)).is_ok(), free);
            if free {
                added.push((start, start + len, id as u64));
            }
        }
        let bus = builder.freeze();
        let mut last = LastHit::default();
        for addr in addrs {
            let expected = added
                .iter()
                .find(|&&(s, e, _)| (s..e).contains(&addr))
                .map(|&(s, _, _)| Ok((addr - s) as u64));
            let found = bus.read(0, addr.into(), AccessWidth::Byte, &mut last);
            prop_assert_eq!(found.map(|r| r.map(|_| ())), expected.map(|r: Result<u64, BusFault>| r.map(|_| ())));
            if let (Some(Ok(value)), Some(Ok(offset))) = (found, expected) {
                prop_assert_eq!(value, offset & 0xff);
            }
        }
    }
}
