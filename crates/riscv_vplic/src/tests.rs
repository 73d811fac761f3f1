//! Tests of the model: registers one by one, a naive reference, threads.

mod model;
mod registers;
mod threads;

use std::sync::Mutex;

use axdevice::{Access, AccessWidth, BusFault, MmioDevice};

use crate::{Config, Notify, Vplic};

/// What the hypervisor was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    External(usize),
    Completed(u32),
    Routed(u32, Option<usize>),
}

#[derive(Default)]
struct Log(Mutex<Vec<Told>>);

impl Notify for Log {
    fn external(&self, vcpu: usize) {
        self.0.lock().unwrap().push(Told::External(vcpu));
    }

    fn completed(&self, source: u32) {
        self.0.lock().unwrap().push(Told::Completed(source));
    }

    fn routed(&self, source: u32, vcpu: Option<usize>) {
        self.0.lock().unwrap().push(Told::Routed(source, vcpu));
    }
}

type TestPlic = Vplic<Log>;

fn plic(contexts: usize, sources: u32, passthrough: &[u32]) -> TestPlic {
    let config = Config {
        contexts,
        sources,
        passthrough,
    };
    Vplic::new(&config, Log::default()).expect("valid")
}

fn told(plic: &TestPlic) -> Vec<Told> {
    std::mem::take(&mut plic.notifier().0.lock().unwrap())
}

fn access(offset: u64, width: AccessWidth) -> Access {
    Access {
        vcpu: 0,
        offset,
        width,
    }
}

fn get<N: Notify>(plic: &Vplic<N>, offset: u64) -> u32 {
    let value: Result<u64, BusFault> = plic.read(access(offset, AccessWidth::Word));
    u32::try_from(value.unwrap()).expect("a word")
}

fn set<N: Notify>(plic: &Vplic<N>, offset: u64, value: u32) {
    plic.write(access(offset, AccessWidth::Word), value.into())
        .unwrap();
}

// Offsets as the specification gives them; the contexts by their vCPUs.

fn priority(source: u32) -> u64 {
    4 * u64::from(source)
}

fn pending(word: u64) -> u64 {
    0x1000 + 4 * word
}

fn enables(vcpu: usize, word: u64) -> u64 {
    0x2080 + 0x100 * vcpu as u64 + 4 * word
}

fn threshold(vcpu: usize) -> u64 {
    0x20_1000 + 0x2000 * vcpu as u64
}

fn claim(context: usize) -> u64 {
    threshold(context) + 4
}
