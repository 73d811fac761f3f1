//! PSCI and the SMC Calling Convention: which function a guest calls, and what is answered without
//! leaving the vCPU. Pure: Arm DEN 0022F (PSCI 1.1+) and DEN 0028F (SMCCC 1.4).

/// PSCI return codes (DEN 0022F, 5.2.2), as the 64-bit value a caller finds in X0.
pub mod ret {
    /// Done.
    pub const SUCCESS: u64 = 0;
    /// No such function.
    pub const NOT_SUPPORTED: u64 = -1i64 as u64;
    /// An argument is wrong.
    pub const INVALID_PARAMETERS: u64 = -2i64 as u64;
    /// CPU_ON: it is on.
    pub const ALREADY_ON: u64 = -4i64 as u64;
    /// CPU_ON: it is on its way.
    pub const ON_PENDING: u64 = -5i64 as u64;
    /// An entry point is outside memory.
    pub const INVALID_ADDRESS: u64 = -9i64 as u64;
}

/// Function identifiers. Bit 30 chooses the 64-bit form of those that have one.
mod id {
    pub const SMC64: u32 = 1 << 30;
    pub const SMCCC_VERSION: u32 = 0x8000_0000;
    pub const SMCCC_ARCH_FEATURES: u32 = 0x8000_0001;
    pub const PSCI_VERSION: u32 = 0x8400_0000;
    pub const CPU_SUSPEND: u32 = 0x8400_0001;
    pub const CPU_OFF: u32 = 0x8400_0002;
    pub const CPU_ON: u32 = 0x8400_0003;
    pub const AFFINITY_INFO: u32 = 0x8400_0004;
    pub const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
    pub const SYSTEM_OFF: u32 = 0x8400_0008;
    pub const SYSTEM_RESET: u32 = 0x8400_0009;
    pub const PSCI_FEATURES: u32 = 0x8400_000a;
}

/// SMCCC 1.1: the version in which ARCH_FEATURES came (1.2 would promise X4-X17 as results).
const SMCCC_1_1: u64 = 0x1_0001;
/// PSCI 1.1.
const PSCI_1_1: u64 = 0x1_0001;
/// MIGRATE_INFO_TYPE: no Trusted OS that would need migration.
const NO_TRUSTED_OS: u64 = 2;
/// The affinity fields of an MPIDR (Aff3 and Aff2..Aff0). All other bits of a CPU_ON or
/// AFFINITY_INFO target are reserved.
const AFFINITY_BITS: u64 = 0xff_00ff_ffff;

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Answered: this goes into X0.
    Done(u64),
    /// AFFINITY_INFO of the vCPU with this affinity, at level 0.
    AffinityInfo(u64),
    /// CPU_ON.
    CpuOn {
        /// Affinity of the vCPU.
        target: u64,
        /// Where it starts.
        entry: u64,
        /// Its X0.
        context: u64,
    },
    /// CPU_OFF.
    CpuOff,
    /// CPU_SUSPEND: wait like WFI, then return SUCCESS.
    Suspend,
    /// SYSTEM_OFF.
    SystemOff,
    /// SYSTEM_RESET.
    SystemReset,
}

/// What the CPU says of itself, for SMCCC_ARCH_FEATURES.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mitigations {
    /// ID_AA64PFR0_EL1.CSV2 is not 0: branch targets trained elsewhere don't steer this context.
    pub csv2: bool,
    /// ID_AA64PFR1_EL1.SSBS is not 0: the guest controls speculative store bypass by PSTATE.
    pub ssbs: bool,
}

/// Answers a call that only asks, or that does not exist: most of all calls. `None`: see
/// [`decode`]. The function id is W0 (DEN 0028F, 3.1: the upper half is ignored).
#[inline(always)]
pub fn query(function: u32, argument: u32, mitigations: Mitigations) -> Option<u64> {
    // PSCI's numbers, 32-bit and 64-bit: 0x84000000 to 0x8400001f, 0xc4000000 to 0xc400001f.
    if function & !(id::SMC64 | 0x1f) != id::PSCI_VERSION {
        return Some(match function {
            id::SMCCC_VERSION => SMCCC_1_1,
            id::SMCCC_ARCH_FEATURES => arch_features(argument, mitigations),
            _ => ret::NOT_SUPPORTED,
        });
    }
    match function {
        id::PSCI_VERSION => Some(PSCI_1_1),
        id::PSCI_FEATURES => Some(features(argument)),
        _ => None,
    }
}

/// Decodes a call that [`query`] does not answer: `x` holds X0 to X3; a 32-bit call's arguments are
/// W1 to W3.
pub fn decode(x: [u64; 4]) -> Call {
    let function = x[0] as u32;
    match function {
        id::MIGRATE_INFO_TYPE => Call::Done(NO_TRUSTED_OS),
        id::CPU_OFF => Call::CpuOff,
        id::SYSTEM_OFF => Call::SystemOff,
        id::SYSTEM_RESET => Call::SystemReset,
        _ => decode_sized(function, x),
    }
}

/// The functions that have a 32-bit and a 64-bit form.
fn decode_sized(function: u32, x: [u64; 4]) -> Call {
    let mask = if function & id::SMC64 == 0 {
        u32::MAX as u64
    } else {
        u64::MAX
    };
    let [_, a, b, c] = x.map(|v| v & mask);
    match function & !id::SMC64 {
        id::CPU_ON if a & !AFFINITY_BITS == 0 => Call::CpuOn {
            target: a,
            entry: b,
            context: c,
        },
        // Level 0 only: DEN 0022F, 5.1.5 lets PSCI 1.0 answer higher levels with
        // INVALID_PARAMETERS. The level is a 32-bit argument in both forms.
        id::AFFINITY_INFO if a & !AFFINITY_BITS == 0 && b as u32 == 0 => Call::AffinityInfo(a),
        id::CPU_ON | id::AFFINITY_INFO => Call::Done(ret::INVALID_PARAMETERS),
        id::CPU_SUSPEND => suspend(a as u32),
        _ => Call::Done(ret::NOT_SUPPORTED),
    }
}

/// CPU_SUSPEND: the original format of `power_state` (5.4.2.1): bits 25:24 power level, bit 16
/// state type, bits 15:0 state id; the others are reserved. A request for a power-down state may
/// be answered with a standby state (5.1.2): the call then returns SUCCESS after the wake-up. It
/// has 32 bits in both forms of the call (5.1.2).
fn suspend(power_state: u32) -> Call {
    const KNOWN: u32 = 0x300_0000 | 1 << 16 | 0xffff;
    if power_state & !KNOWN != 0 {
        Call::Done(ret::INVALID_PARAMETERS)
    } else {
        Call::Suspend
    }
}

/// PSCI_FEATURES (5.1.15): 0 for a function that exists and has no flags.
fn features(function: u32) -> u64 {
    match function {
        id::PSCI_VERSION
        | id::PSCI_FEATURES
        | id::SMCCC_VERSION
        | id::CPU_OFF
        | id::MIGRATE_INFO_TYPE
        | id::SYSTEM_OFF
        | id::SYSTEM_RESET => ret::SUCCESS,
        _ => match function & !id::SMC64 {
            id::CPU_ON | id::AFFINITY_INFO | id::CPU_SUSPEND => ret::SUCCESS,
            _ => ret::NOT_SUPPORTED,
        },
    }
}

/// SMCCC_ARCH_FEATURES (DEN 0028F, 7.3, and the ARCH_WORKAROUND descriptions): 1 means "not needed
/// on this CPU", which is said only where an ID register says so.
fn arch_features(function: u32, mitigations: Mitigations) -> u64 {
    const ARCH_WORKAROUND_1: u32 = 0x8000_8000;
    const ARCH_WORKAROUND_2: u32 = 0x8000_7fff;
    const NOT_NEEDED: u64 = 1;
    match function {
        id::SMCCC_VERSION | id::SMCCC_ARCH_FEATURES => ret::SUCCESS,
        ARCH_WORKAROUND_1 if mitigations.csv2 => NOT_NEEDED,
        ARCH_WORKAROUND_2 if mitigations.ssbs => NOT_NEEDED,
        _ => ret::NOT_SUPPORTED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call_with(x: [u64; 4], mitigations: Mitigations) -> Call {
        match query(x[0] as u32, x[1] as u32, mitigations) {
            Some(result) => Call::Done(result),
            None => decode(x),
        }
    }

    fn call(x: [u64; 4]) -> Call {
        call_with(x, Mitigations::default())
    }

    #[test]
    fn the_upper_half_of_x0_is_ignored() {
        assert_eq!(call([0xdead_beef_8400_0000, 0, 0, 0]), Call::Done(PSCI_1_1));
    }

    #[test]
    fn a_32_bit_call_has_32_bit_arguments() {
        let on = call([0x8400_0003, 0xffff_ffff_0000_0001, 0x1_4000_0000, u64::MAX]);
        assert_eq!(
            on,
            Call::CpuOn {
                target: 1,
                entry: 0x4000_0000,
                context: 0xffff_ffff
            }
        );
        let on = call([0xc400_0003, 0x1_0000_0001, 0x1_4000_0000, u64::MAX]);
        assert_eq!(
            on,
            Call::CpuOn {
                target: 0x1_0000_0001 & AFFINITY_BITS,
                entry: 0x1_4000_0000,
                context: u64::MAX
            }
        );
    }

    #[test]
    fn reserved_bits_are_invalid_parameters() {
        for x in [
            [0xc400_0003, 1 << 24, 0, 0],
            [0xc400_0004, 1 << 63, 0, 0],
            [0xc400_0004, 0, 1, 0],
            [0xc400_0001, 1 << 17, 0, 0],
        ] {
            assert_eq!(call(x), Call::Done(ret::INVALID_PARAMETERS), "{x:x?}");
        }
    }

    #[test]
    fn power_states_and_levels_have_32_bits_in_both_forms() {
        const UPPER: u64 = 0xffff_ffff_0000_0000;
        assert_eq!(call([0xc400_0001, UPPER | 1 << 16, 0, 0]), Call::Suspend);
        assert_eq!(call([0xc400_0004, 1, UPPER, 0]), Call::AffinityInfo(1));
    }

    #[test]
    fn features_knows_itself() {
        assert_eq!(call([0x8400_000a, 0x8400_000a, 0, 0]), Call::Done(0));
    }

    #[test]
    fn system_calls_have_no_64_bit_form() {
        for function in [
            0xc400_0000,
            0xc400_0002,
            0xc400_0008,
            0xc400_0009,
            0xc400_000a,
        ] {
            assert_eq!(call([function, 0, 0, 0]), Call::Done(ret::NOT_SUPPORTED));
            assert_eq!(
                call([0x8400_000a, function, 0, 0]),
                Call::Done(ret::NOT_SUPPORTED)
            );
        }
    }

    #[test]
    fn mitigations_are_told_as_they_are() {
        let ask = |function, m| call_with([0x8000_0001, function, 0, 0], m);
        let all = Mitigations {
            csv2: true,
            ssbs: true,
        };
        assert_eq!(ask(0x8000_8000, all), Call::Done(1));
        assert_eq!(ask(0x8000_7fff, all), Call::Done(1));
        assert_eq!(
            ask(0x8000_8000, Mitigations::default()),
            Call::Done(ret::NOT_SUPPORTED)
        );
    }

    proptest! {
        /// PSCI_FEATURES and the functions themselves agree.
        #[test]
        fn features_agree(function in prop_oneof![any::<u32>(), 0x8400_0000u32..0x8400_0020, 0xc400_0000u32..0xc400_0020]) {
            let exists = call([function as u64, 0, 0, 0]) != Call::Done(ret::NOT_SUPPORTED);
            let told = call([0x8400_000a, function as u64, 0, 0]) == Call::Done(0);
            // SMCCC_ARCH_FEATURES is not PSCI's to tell of; PSCI_FEATURES asked for function 0 says
            // NOT_SUPPORTED, which is not about itself.
            prop_assume!(function != 0x8000_0001 && function != 0x8400_000a);
            prop_assert_eq!(exists, told, "{:#x}", function);
        }
    }
}
