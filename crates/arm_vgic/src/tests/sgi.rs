//! SGIs and configuration.

use std::sync::atomic::Ordering;

use super::fake::*;
use crate::{Config, ConfigError, CpuInterface, REDIST_STRIDE, SgiRegister, Vgic};

fn sent(vgic: &FakeVgic, from: usize, register: SgiRegister, value: u64) -> (u32, u64) {
    let mut told = 0;
    vgic.send_sgi(from, register, value, |v| told |= 1 << v);
    let intid = value >> 24 & 0xf;
    let mut got = 0;
    for (i, v) in vgic.vcpus.iter().enumerate() {
        let inbox = v.inbox.swap(0, Ordering::Relaxed);
        assert_eq!(inbox & !(1 << intid), 0);
        got |= (inbox >> intid & 1) << i;
    }
    (got, told)
}

fn cluster(affinities: &[u64]) -> FakeVgic {
    power_on(1, 4);
    let config = Config {
        affinities,
        spis: 32,
        linked_ppis: &[],
        passthrough_spis: &[],
    };
    Vgic::new(&config, Bell::default()).expect("valid")
}

#[test]
fn target_lists_name_affinities() {
    let g = cluster(&[0, 1, 0x100, 0x1_0203, 0x7f_0000_0002, 0x35]);
    let sgi1r = SgiRegister::Sgi1r;
    assert_eq!(sent(&g, 0, sgi1r, 5 << 24 | 0b11), (0b11, 0b11));
    // Self is a target like others; those that don't exist are ignored.
    assert_eq!(sent(&g, 1, sgi1r, 0xffff), (0b11, 0b11));
    assert_eq!(sent(&g, 0, sgi1r, 1 << 16 | 1), (0b100, 0b100));
    assert_eq!(
        sent(&g, 0, sgi1r, 1 << 32 | 2 << 16 | 1 << 3),
        (0b1000, 0b1000)
    );
    assert_eq!(
        sent(&g, 0, sgi1r, 0x7f << 48 | 1 << 2),
        (0b1_0000, 0b1_0000)
    );
    // The range selector: Aff0 48..64.
    assert_eq!(sent(&g, 0, sgi1r, 3 << 44 | 1 << 5), (0b10_0000, 0b10_0000));
    assert_eq!(sent(&g, 0, sgi1r, 9 << 16 | 1), (0, 0));
    // IRM: all but self, whatever else the value says.
    assert_eq!(
        sent(&g, 2, sgi1r, 1 << 40 | 9 << 16 | 0xffff),
        (0b11_1011, 0b11_1011)
    );
}

#[test]
fn groups_decide_what_each_register_reaches() {
    let g = cluster(&[0, 1]);
    // SGI 3 is in Group 1 on vCPU 1 only.
    g.redist_write(0, REDIST_STRIDE + 0x1_0080, 4, 1 << 3);
    for register in [SgiRegister::Sgi0r, SgiRegister::Asgi1r] {
        assert_eq!(sent(&g, 0, register, 3 << 24 | 0b11), (0b01, 0b01));
    }
    assert_eq!(
        sent(&g, 0, SgiRegister::Sgi1r, 3 << 24 | 0b11),
        (0b11, 0b11)
    );
}

#[test]
fn an_sgi_that_is_on_its_way_is_told_once() {
    let g = cluster(&[0]);
    let mut told = 0;
    for _ in 0..3 {
        g.send_sgi(0, SgiRegister::Sgi1r, 1, |_| told += 1);
    }
    assert_eq!(told, 1);
}

#[test]
fn an_sgi_to_a_running_vcpu_costs_one_list_register_write() {
    let g = started(2, 4);
    g.redist_write(0, REDIST_STRIDE + 0x1_0100, 4, 0xff);
    enter(&g, 1);
    on(1, || hw(|h| (h.lr_reads, h.lr_writes) = (0, 0)));
    for round in 1..=20 {
        g.send_sgi(0, SgiRegister::Sgi1r, (round % 8) << 24 | 0b10, |v| {
            assert_eq!(v, 1);
            assert!(on(1, || g.sync_in(1)));
        });
        assert_eq!(
            on(1, || hw(|h| h.ack())).map(|a| a.0),
            Some(round as u32 % 8)
        );
        on(1, || hw(|h| h.eoi(round as u32 % 8)));
        assert_eq!(on(1, || hw(|h| h.misr())), 0);
    }
    assert_eq!(on(1, || hw(|h| h.lr_writes)), 20);
}

#[test]
fn pending_and_active_sgis_come_again() {
    let g = started(1, 4);
    g.redist_write(0, 0x1_0100, 4, 1 << 2);
    let send = || {
        g.send_sgi(0, SgiRegister::Sgi1r, 2 << 24 | 1, |v| {
            g.notifier().sync.fetch_or(1 << v, Ordering::SeqCst);
        });
    };
    send();
    assert_eq!(ack(&g, 0), Some(2));
    send();
    send();
    assert_eq!(ack(&g, 0), None);
    eoi(&g, 0, 2);
    assert_eq!(ack(&g, 0), Some(2));
    eoi(&g, 0, 2);
    assert_eq!(ack(&g, 0), None);
}

#[test]
fn impossible_controllers_are_refused() {
    power_on(1, 4);
    let base = || Config {
        affinities: &[0, 1],
        spis: 32,
        linked_ppis: &[],
        passthrough_spis: &[],
    };
    let refused = |config: &Config<'_>| {
        let error = Vgic::<Fake, _>::new(config, Bell::default()).err();
        let error = error.expect("refused");
        assert!(!error.to_string().is_empty());
        error
    };
    let none = Config {
        affinities: &[],
        ..base()
    };
    assert_eq!(refused(&none), ConfigError::VcpuCount(0));
    let many: Vec<u64> = (0..65).collect();
    let config = Config {
        affinities: &many,
        ..base()
    };
    assert_eq!(refused(&config), ConfigError::VcpuCount(65));
    let config = Config {
        affinities: &[1 << 31],
        ..base()
    };
    assert_eq!(refused(&config), ConfigError::Affinity(1 << 31));
    let config = Config {
        affinities: &[3, 3],
        ..base()
    };
    assert_eq!(refused(&config), ConfigError::DuplicateAffinity(3));
    let config = Config {
        spis: 989,
        ..base()
    };
    assert_eq!(refused(&config), ConfigError::SpiCount(989));
    let config = Config {
        linked_ppis: &[(27, 32)],
        ..base()
    };
    assert_eq!(refused(&config), ConfigError::LinkedPpi(27, 32));
    let config = Config {
        passthrough_spis: &[64],
        ..base()
    };
    assert_eq!(refused(&config), ConfigError::PassthroughSpi(64));
    // All there can be.
    let most: Vec<u64> = (0..64).collect();
    let config = Config {
        affinities: &most,
        spis: 988,
        ..base()
    };
    let g = Vgic::<Fake, _>::new(&config, Bell::default()).expect("valid");
    assert_eq!((g.vcpu_count(), g.dist_read(0, 4, 4) & 0x1f), (64, 31));
    assert_eq!(Fake::lr_count(), 4);
}
