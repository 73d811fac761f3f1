//! Random bytes for guests, out of what the boot loader gave the hypervisor.

use axmachine::SEED;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// What a guest's random number generator starts from: `rng-seed` in its device tree.
pub type Seed = [u8; SEED];

/// Makes one seed after the other. None of them tells anything about another: each time ChaCha20
/// makes the next key together with the seed, and the key that made them is gone. (What the boot
/// loader gave is still where it put it, in the hypervisor's memory.)
pub struct Seeds(Seed);

impl Seeds {
    /// Those that follow from `entropy`, of which nothing else may be made.
    pub fn new(entropy: Seed) -> Self {
        Self(entropy)
    }

    /// The next one. Not an iterator: nobody is to get one twice by cloning or peeking.
    pub fn make(&mut self) -> Seed {
        let mut stream = ChaCha20Rng::from_seed(self.0);
        let mut seed = [0; SEED];
        stream.fill_bytes(&mut self.0);
        stream.fill_bytes(&mut seed);
        seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// RFC 8439, A.1, test vector 1: the first block of ChaCha20 with a key of zeros.
    const BLOCK: &str = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
                         da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn key_and_seed_are_one_block() {
        let mut seeds = Seeds::new([0; SEED]);
        let seed = seeds.make();
        assert_eq!(hex(&seeds.0) + &hex(&seed), BLOCK);
    }

    #[test]
    fn no_seed_comes_twice() {
        let mut seeds = Seeds::new([7; SEED]);
        let made: BTreeSet<Seed> = (0..1000).map(|_| seeds.make()).collect();
        assert_eq!(made.len(), 1000);
        assert!(!made.contains(&[7; SEED]) && !made.contains(&seeds.0));
    }
}
