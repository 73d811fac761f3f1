//! Boot order: memory, interrupts, the other CPUs, tasks, console, VMs.

use axhal::boot::BootInfo;
use axhal::machine::cmdline::{self, ConsoleChoice, WhenIdle};
use axhal::{cpu, power};

use crate::console::Show;
use crate::task::{self, Data, SCHEDULER, priority};
use crate::{arch, board, console, entropy, interrupt, manager, memory};

// The boot bundle of the build, or nothing.
core::arch::global_asm!(concat!(
    ".section .bundle, \"a\"\n.incbin \"",
    env!("AXHV_BUNDLE_FILE"),
    "\"\n.previous",
));

axhal::entry!(main = main, irq = interrupt::taken);

/// On the boot CPU, with interrupts masked.
fn main(info: &'static BootInfo) -> ! {
    let options = match cmdline::parse(info.bootargs) {
        Ok(options) => options,
        Err(error) => {
            console::init_log(log::LevelFilter::Info);
            log::error!("{error}");
            power::off(power::STATUS_NOT_BOOTED)
        }
    };
    console::init_log(options.loglevel.unwrap_or(log::LevelFilter::Info));
    for word in &options.unknown {
        log::warn!("command line: {word} is not an option of the hypervisor");
    }
    if let Err(error) = memory::init(info) {
        log::error!("memory map: {error}");
        power::off(power::STATUS_NOT_BOOTED)
    }
    if let Err(error) = arch::init(info).and_then(|()| arch::init_cpu()) {
        log::error!("this machine can't be used: {error}");
        power::off(power::STATUS_NOT_BOOTED)
    }
    SCHEDULER.init_cpu(Data::default());
    cpu::start_all(secondary, |cpu, error| log::error!("CPU {cpu}: {error}"));
    board::init(info);
    entropy::init(info.machine.rng_seed);
    let ram: u64 = info.machine.memory.iter().map(|bank| bank.size).sum();
    log::info!("{} CPUs, {} MiB of RAM", cpu::count(), ram >> 20);
    let show = match options.console {
        ConsoleChoice::Auto => Show::Auto,
        ConsoleChoice::All => Show::All,
        ConsoleChoice::Vm(name) => Show::Only(name.into()),
    };
    let interrupt = info.machine.console.and_then(|console| console.interrupt);
    console::start(show, interrupt.and_then(|interrupt| interrupt.line()));
    let stay = options.when_idle == WhenIdle::Stay;
    let bundle = match info.bundle() {
        Ok(bundle) => bundle,
        Err(error) => {
            log::error!("bundle: {error}");
            &[]
        }
    };
    if let Err(error) = task::spawn("manager", priority::WORK, move || {
        manager::run(bundle, stay)
    }) {
        log::error!("no task: {error}");
        power::off(power::STATUS_NOT_BOOTED)
    }
    SCHEDULER.run_idle()
}

/// On each other CPU, with interrupts masked.
fn secondary(cpu: usize) -> ! {
    if let Err(error) = arch::init_cpu() {
        log::error!("CPU {cpu} can't be used: {error}");
        power::park();
    }
    SCHEDULER.init_cpu(Data::default());
    SCHEDULER.run_idle()
}
