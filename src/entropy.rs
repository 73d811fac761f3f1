//! Where guests' seeds come from: the boot loader's `rng-seed`. A machine whose boot loader gives
//! none has guests that gather their own; something weaker in its place would be trusted.

use axloader::{Seed, Seeds};
use spin::Mutex;

/// Held for one block of ChaCha20, when a VM is loaded.
static SEEDS: Mutex<Option<Seeds>> = Mutex::new(None);

/// Starts from the machine's seed.
pub fn init(seed: Option<Seed>) {
    if seed.is_none() {
        log::debug!("the boot loader gave no rng-seed: guests get none");
    }
    *SEEDS.lock() = seed.map(Seeds::new);
}

/// A seed for one life of one guest.
pub fn guest_seed() -> Option<Seed> {
    SEEDS.lock().as_mut().map(Seeds::make)
}
