//! The guest's interrupt controller on its VM's bus.

use alloc::sync::Arc;

use axdevice::{Access, BusFault, MmioDevice, WriteFault};

use crate::ArmHost;
use crate::vm::Gic;

/// The distributor's registers.
pub struct DistributorPort<H: ArmHost>(pub(crate) Arc<Gic<H>>);

/// All redistributors' registers.
pub struct RedistributorPort<H: ArmHost>(pub(crate) Arc<Gic<H>>);

impl<H: ArmHost> MmioDevice for DistributorPort<H> {
    fn read(&self, access: Access) -> Result<u64, BusFault> {
        Ok(self
            .0
            .dist_read(access.vcpu, access.offset, access.width.bytes()))
    }

    fn write(&self, access: Access, value: u64) -> Result<(), WriteFault> {
        self.0
            .dist_write(access.vcpu, access.offset, access.width.bytes(), value);
        Ok(())
    }

    /// With the VM: see `ArmVm::reset`.
    fn reset(&self) {}
}

impl<H: ArmHost> MmioDevice for RedistributorPort<H> {
    fn read(&self, access: Access) -> Result<u64, BusFault> {
        Ok(self
            .0
            .redist_read(access.vcpu, access.offset, access.width.bytes()))
    }

    fn write(&self, access: Access, value: u64) -> Result<(), WriteFault> {
        self.0
            .redist_write(access.vcpu, access.offset, access.width.bytes(), value);
        Ok(())
    }

    /// With the VM: see `ArmVm::reset`.
    fn reset(&self) {}
}
