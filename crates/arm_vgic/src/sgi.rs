//! Software-generated interrupts: decoding of ICC_SGI1R_EL1 and its like, and sending without
//! locks.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use crate::{CpuInterface, Notify, Vgic};

/// The register an SGI is generated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SgiRegister {
    /// ICC_SGI0R_EL1.
    Sgi0r,
    /// ICC_SGI1R_EL1.
    Sgi1r,
    /// ICC_ASGI1R_EL1.
    Asgi1r,
}

const RANGE_MASK: u64 = 0xff_00ff_fff0;
const NONE: u8 = u8::MAX;

/// The vCPUs one target list can name: those which differ in the low four bits of Aff0 only.
pub(crate) struct Cluster {
    /// Affinity without these four bits.
    range: u64,
    /// vCPU by these four bits.
    vcpus: [u8; 16],
}

pub(crate) fn clusters(affinities: &[u64]) -> Box<[Cluster]> {
    let mut clusters: Vec<Cluster> = Vec::new();
    for (i, &affinity) in affinities.iter().enumerate() {
        let range = affinity & RANGE_MASK;
        let at = clusters.iter().position(|c| c.range == range);
        let at = at.unwrap_or_else(|| {
            clusters.push(Cluster {
                range,
                vcpus: [NONE; 16],
            });
            clusters.len() - 1
        });
        clusters[at].vcpus[(affinity & 15) as usize] = i as u8;
    }
    clusters.into()
}

impl<C: CpuInterface, N: Notify> Vgic<C, N> {
    /// vCPU `from` wrote `value` to `register` (IHI 0069, "ICC_SGI1R_EL1"). Records the SGI for
    /// each target that exists, and calls `notify` for each that has something new to look at,
    /// which may be `from` itself.
    ///
    /// With GICD_CTLR.DS=1 ICC_SGI0R_EL1 and ICC_ASGI1R_EL1 reach SGIs that their target has in
    /// Group 0, ICC_SGI1R_EL1 those of either group.
    #[inline]
    pub fn send_sgi(
        &self,
        from: usize,
        register: SgiRegister,
        value: u64,
        mut notify: impl FnMut(usize),
    ) {
        let bit = 1 << (value >> 24 & 0xf);
        let group0_only = register != SgiRegister::Sgi1r;
        let mut post = |target: usize| {
            if let Some(vcpu) = self.vcpus.get(target)
                && !(group0_only && vcpu.group1.load(Ordering::Relaxed) & bit != 0)
                // If it was there already, whoever sent it notifies; it is one SGI then.
                && vcpu.inbox.fetch_or(bit, Ordering::Release) & bit == 0
            {
                notify(target);
            }
        };
        if value & 1 << 40 != 0 {
            // IRM: all but self.
            (0..self.vcpus.len())
                .filter(|&t| t != from)
                .for_each(&mut post);
            return;
        }
        // Aff3 [55:48], Aff2 [39:32], Aff1 [23:16], RS [47:44] (the upper half of Aff0).
        let range = (value >> 48 & 0xff) << 32
            | (value >> 32 & 0xff) << 16
            | (value >> 16 & 0xff) << 8
            | (value >> 44 & 0xf) << 4;
        let Some(cluster) = self.clusters.iter().find(|c| c.range == range) else {
            return;
        };
        let mut list = value as u16;
        while list != 0 {
            post(usize::from(
                cluster.vcpus[list.trailing_zeros() as usize & 15],
            ));
            list &= list - 1;
        }
    }
}
