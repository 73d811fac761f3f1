//! Redistributors: the private interrupts of each CPU.

use super::{FRAME, GicError, ISENABLER, Line, check_version, reset_lines, wait_for_writes};
use crate::drivers::mmio::Mmio;

const GICR_CTLR: usize = 0x0;
const GICR_TYPER: usize = 0x8;
const GICR_WAKER: usize = 0x14;

const CTLR_RWP: u32 = 1 << 3;
const TYPER_VLPIS: u64 = 1 << 1;
const TYPER_LAST: u64 = 1 << 4;
const WAKER_PROCESSOR_SLEEP: u32 = 1 << 1;
const WAKER_CHILDREN_ASLEEP: u32 = 1 << 2;

const ALL_SGIS: u32 = 0xffff;
const LINES: u32 = 32;

/// The redistributor of one CPU.
#[derive(Clone, Copy, Debug)]
pub struct Redistributor {
    control: Mmio,
    lines: Mmio,
}

impl Redistributor {
    /// Walks the regions for the redistributor whose GICR_TYPER has this CPU's affinity (section
    /// 12.11.35). Bounded by the regions' sizes.
    pub(super) fn find(
        regions: &[Mmio],
        stride: Option<usize>,
        mpidr: u64,
    ) -> Result<Self, GicError> {
        // Aff3 to Aff0 are bits 63:32 of the register, without MPIDR_EL1's gap.
        let wanted = (mpidr >> 32 & 0xff) << 24 | mpidr & 0xff_ffff;
        for region in regions {
            let mut at = 0;
            while let Some(control) = region.slice(at, FRAME)
                && let Some(lines) = region.slice(at + FRAME, FRAME)
            {
                check_version(&control)?;
                let typer = control.read64(GICR_TYPER);
                if typer >> 32 == wanted {
                    return Ok(Self { control, lines });
                }
                if typer & TYPER_LAST != 0 {
                    break;
                }
                // GICv4's have two more frames, for virtual LPIs.
                let frames = if typer & TYPER_VLPIS != 0 { 4 } else { 2 };
                at += stride.unwrap_or(frames * FRAME);
            }
        }
        Err(GicError::NoRedistributor { mpidr })
    }

    pub(super) fn init(&self, mpidr: u64) -> Result<(), GicError> {
        // Section 12.11.42. In the Non-secure view this register is RAZ/WI: the firmware did it.
        let waker = self.control.read32(GICR_WAKER);
        self.control
            .write32(GICR_WAKER, waker & !WAKER_PROCESSOR_SLEEP);
        let awake = |waker| waker & WAKER_CHILDREN_ASLEEP == 0;
        if !self.control.poll32(GICR_WAKER, awake) {
            return Err(GicError::Asleep { mpidr });
        }
        reset_lines(&self.lines, 0);
        wait_for_writes(&self.control, GICR_CTLR, CTLR_RWP)?;
        self.lines.write32(ISENABLER, ALL_SGIS);
        Ok(())
    }

    /// A private interrupt of this CPU: 0 to 15 software-generated, 16 to 31 peripherals'.
    pub fn line(&self, intid: u32) -> Result<Line, GicError> {
        if intid >= LINES {
            return Err(GicError::NoInterrupt { intid });
        }
        Ok(Line::new(self.lines, intid, self.control, CTLR_RWP))
    }
}
