//! What differs between architectures in the measurements: all of it is here, and in the tests' table.

use crate::kinds::{self, Kind};
use axhv_tests::arch::{AARCH64, Arch, asked};

/// What the measurements know of an architecture, besides what the tests do.
#[derive(Debug, PartialEq, Eq)]
pub struct Bench {
    /// Its names, boards and devices.
    pub arch: &'static Arch,
    /// The board that starts a hypervisor, the same from run to run.
    pub board: &'static str,
    /// The board for a guest by itself.
    pub bare_board: &'static str,
    /// The rows that must not depend on how many VMs and CPUs there are.
    pub scale: &'static [&'static str],
    /// More words for Linux's command line.
    pub linux_options: &'static str,
    /// QEMU's trace event that tells each offset of the counter that a guest's Linux reads, if it
    /// has one.
    pub offsets: Option<&'static str>,
    /// How QEMU's log of exceptions shows a call of the hypervisor, and an interrupt of a CPU.
    pub call: &'static str,
    /// See [`Bench::call`]: words before the CPU's number.
    pub interrupt: &'static [&'static str],
    /// Where the image is linked (linker/), and the end of what its tables map.
    pub image: [u64; 2],
    /// Where the machine's firmware runs, and nothing else: in its mode nothing is translated.
    pub firmware: Option<[u64; 2]>,
    /// The symbols of the hypervisor's exception vectors.
    pub vectors: &'static [&'static str],
    /// Beginnings of the names of rows that move by some percent with what has no part in them.
    pub loose: &'static [&'static str],
    /// What is to be reached, by row.
    pub targets: &'static [(&'static str, u64)],
    /// The kinds of instructions that cost a board more than an emulator shows.
    pub kinds: &'static [(&'static str, Kind)],
}

static ARM: Bench = Bench {
    arch: &AARCH64,
    board: "virt,virtualization=on,gic-version=3,dtb-randomness=off",
    bare_board: "virt,gic-version=3,dtb-randomness=off",
    scale: &[
        "gicd_iidr_read",
        "hvc_psci_version",
        "ipi_ended",
        "timer_late",
        "uart_fr_read",
        "wfi_wake_taken",
    ],
    linux_options: "",
    offsets: Some("arm_gt_cntvoff_write"),
    call: "[Hypervisor Call]",
    interrupt: &["[IRQ] on CPU ", "[FIQ] on CPU "],
    image: [0x100_0000_0000, 0x100_0080_0000],
    firmware: None,
    vectors: &["arm_vcpu_vectors", "axhal_el2_vectors"],
    loose: &[],
    targets: &[
        ("hvc_psci_version", 100),
        ("hvc_unknown", 120),
        ("gicd_iidr_read", 200),
        ("uart_fr_read", 250),
        ("uart_write_burst", 350),
        ("ipi_ended", 1000),
        ("timer_late", 400),
        ("undef_unknown_register", 250),
        ("wfi_wake_taken", 2500),
        ("linux_own_clock_quiet_us", 805_000),
        ("linux_own_clock_verbose_us", 825_000),
        ("linux_reset_to_user_us", 950_000),
        ("image_text_and_rodata_bytes", 256 << 10),
        ("memory_used_bytes", 3 << 20),
        ("memory_another_vcpu_bytes", 64 << 10),
        ("interrupts_masked_longest", 10_000),
        ("interrupts_in_10_s_busy_vcpu", 0),
        ("interrupts_in_10_s_idle_cpu", 0),
        ("interrupts_in_10_s_waiting_vcpu", 0),
    ],
    kinds: &kinds::AARCH64,
};

static RISCV: Bench = Bench {
    arch: &axhv_tests::arch::RISCV64,
    // Its device tree's seed comes from QEMU's.
    board: "virt",
    bare_board: "virt",
    scale: &[
        "ipi_taken",
        "plic_priority_read",
        "sbi_spec_version",
        "timer_late",
        "uart_lsr_read",
        "wfi_wake_taken",
    ],
    // The driver of SBI's counters stops `cycle`, which QEMU has one of for the machine and all
    // guests: it is the machine's clock.
    linux_options: " initcall_blacklist=pmu_sbi_devinit",
    offsets: None,
    // An environment call from VS-mode; what interrupts the machine's and the hypervisor's modes.
    call: "async:0, cause:000000000000000a",
    interrupt: &[
        "async:1, cause:0000000000000001",
        "async:1, cause:0000000000000003",
        "async:1, cause:0000000000000005",
        "async:1, cause:0000000000000007",
        "async:1, cause:0000000000000009",
    ],
    image: [0xffff_ffc0_0000_0000, 0xffff_ffc0_0080_0000],
    // Guests are linked behind it, and so is the hypervisor loaded.
    firmware: Some([0x8000_0000, 0x8008_0000]),
    vectors: &["axhal_trap_vector", "riscv_vcpu_vector"],
    // Where in a tick the emulator changes over between CPUs; the random numbers that Linux's
    // self-tests calculate with.
    loose: &["ipi_", "linux_"],
    // Exits: half of KVM's, which `make bench-peers` shows.
    targets: &[
        ("image_text_and_rodata_bytes", 256 << 10),
        ("memory_used_bytes", 3 << 20),
        ("memory_another_vcpu_bytes", 64 << 10),
        ("interrupts_masked_longest", 10_000),
        ("interrupts_in_10_s_busy_vcpu", 0),
        ("interrupts_in_10_s_idle_cpu", 0),
        ("interrupts_in_10_s_waiting_vcpu", 0),
    ],
    kinds: &kinds::RISCV64,
};

/// The architecture that the environment's `ARCH` names.
pub fn bench() -> &'static Bench {
    let asked = asked();
    let is = |bench: &&Bench| asked.first() == Some(&bench.arch);
    [&ARM, &RISCV].into_iter().find(is).unwrap_or(&ARM)
}

impl Bench {
    /// The CPU models that are measured: what has most extensions, which has all rows, and the one
    /// of `make run`.
    pub fn models(&self) -> [&'static str; 2] {
        [self.arch.rich_cpu, self.arch.cpu]
    }

    /// Instructions for a tick of the counter that rows are measured by. aarch64's is of 1 GHz for
    /// `max`, of 62.5 MHz for others; on riscv64 it is `cycle`.
    pub fn tick(&self, cpu: &str) -> u64 {
        match (self.arch == &AARCH64, cpu) {
            (true, "max") | (false, _) => 1,
            (true, _) => 16,
        }
    }

    /// The CPU that a line of QEMU's log says was interrupted.
    pub fn interrupted(&self, line: &str) -> Option<usize> {
        let word = self.interrupt.iter().find(|word| line.contains(**word))?;
        let number = match line.split_once(word)?.1 {
            behind if word.ends_with("CPU ") => behind,
            _ => line.split_once("hart:")?.1,
        };
        let digits = number.find(|c: char| !c.is_ascii_digit());
        number[..digits.unwrap_or(number.len())].parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_by_cpu() {
        let arm = "Taking exception 5 [IRQ] on CPU 1";
        assert_eq!(ARM.interrupted(arm), Some(1));
        assert_eq!(
            ARM.interrupted("Taking exception 11 [Hypervisor Call] on CPU 1"),
            None
        );
        let riscv =
            "riscv_cpu_do_interrupt: hart:1, async:1, cause:0000000000000005, epc:0x80200000";
        assert_eq!(RISCV.interrupted(riscv), Some(1));
        assert_eq!(
            RISCV.interrupted(&riscv.replace("async:1", "async:0")),
            None
        );
        assert_eq!(ARM.interrupted(riscv), None);
    }
}
