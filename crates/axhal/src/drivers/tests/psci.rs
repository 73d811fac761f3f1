use std::{cell::RefCell, vec, vec::Vec};

use crate::drivers::psci::{Call, CpuState, Psci, PsciError, Version};

/// A firmware that answers what it was told to, and remembers what it was asked.
struct Fake<'a> {
    answers: RefCell<Vec<u64>>,
    calls: &'a RefCell<Vec<(u32, [u64; 3])>>,
}

impl Call for Fake<'_> {
    fn call(&self, id: u32, args: [u64; 3]) -> u64 {
        self.calls.borrow_mut().push((id, args));
        self.answers.borrow_mut().remove(0)
    }
}

/// Runs something on a firmware with these answers; returns also what was called.
fn with<R>(answers: &[u64], run: impl FnOnce(Psci<Fake<'_>>) -> R) -> (R, Vec<(u32, [u64; 3])>) {
    let calls = RefCell::new(Vec::new());
    let answers = RefCell::new(answers.to_vec());
    let result = run(Psci::new(Fake {
        answers,
        calls: &calls,
    }));
    (result, calls.into_inner())
}

#[test]
fn functions_and_arguments() {
    let version = |major, minor| Version { major, minor };
    assert_eq!(
        with(&[0x1_0001], |psci| psci.version()),
        (Ok(version(1, 1)), vec![(0x8400_0000, [0; 3])])
    );
    assert_eq!(
        // SAFETY: nothing is started here.
        with(&[0], |psci| unsafe {
            psci.cpu_on(0x1_0000_0203, 0x4020_0000, 7)
        }),
        (Ok(()), vec![(0xc400_0003, [0x1_0000_0203, 0x4020_0000, 7])])
    );
    assert_eq!(
        with(&[1], |psci| psci.affinity_info(0x100)),
        (Ok(CpuState::Off), vec![(0xc400_0004, [0x100, 0, 0])])
    );
    assert_eq!(
        with(&[0], |psci| psci.features(0xc400_0001)),
        (Ok(0), vec![(0x8400_000a, [0xc400_0001, 0, 0])])
    );
    let denied = (-3_i64) as u64;
    assert_eq!(
        with(&[denied], |psci| psci.system_off()),
        (PsciError::Denied, vec![(0x8400_0008, [0; 3])])
    );
    assert_eq!(
        with(&[0], |psci| psci.system_reset()),
        (PsciError::Unknown(0), vec![(0x8400_0009, [0; 3])])
    );
}

#[test]
fn smccc_version_is_asked_only_if_it_is_there() {
    let version = |major, minor| Version { major, minor };
    let ids = |calls: Vec<(u32, _)>| -> Vec<_> { calls.iter().map(|call| call.0).collect() };
    let (found, calls) = with(&[0, 0x1_0002], |psci| psci.smccc_version());
    assert_eq!(found, version(1, 2));
    assert_eq!(ids(calls), [0x8400_000a, 0x8000_0000]);
    let (found, calls) = with(&[u64::MAX], |psci| psci.smccc_version());
    assert_eq!(found, version(1, 0));
    assert_eq!(ids(calls), [0x8400_000a]);
}

#[test]
fn errors() {
    use PsciError::*;
    for (code, error) in [
        (-1, NotSupported),
        (-2, InvalidParameters),
        (-3, Denied),
        (-4, AlreadyOn),
        (-5, OnPending),
        (-6, InternalFailure),
        (-7, NotPresent),
        (-8, Disabled),
        (-9, InvalidAddress),
        (-10, Unknown(-10)),
        (i32::MIN, Unknown(i32::MIN)),
    ] {
        // Some firmware sign-extends to 64 bits, some doesn't.
        for answer in [code as i64 as u64, u64::from(code as u32)] {
            assert_eq!(with(&[answer], |psci| psci.version()).0, Err(error));
        }
    }
    assert_eq!(with(&[3], |psci| psci.affinity_info(0)).0, Err(Unknown(3)));
}
