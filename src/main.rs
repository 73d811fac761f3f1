//! The hypervisor.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare {
    use core::sync::atomic::{AtomicUsize, Ordering};

    use axhal::boot::BootInfo;
    use axhal::machine::Region;
    use axhal::{console, cpu, paging, power};

    // The boot bundle of the build, or nothing.
    core::arch::global_asm!(concat!(
        ".section .bundle, \"a\"\n.incbin \"",
        env!("AXHV_BUNDLE_FILE"),
        "\"\n.previous",
    ));

    axhal::entry!(main = main, irq = irq);

    /// Frames for stacks and tables, until there is an allocator: what is left of one block.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    static END: AtomicUsize = AtomicUsize::new(0);
    const BLOCK: u64 = 2 << 20;

    fn frames(count: usize, align: usize) -> Option<paging::PhysAddr> {
        let end = END.load(Ordering::Relaxed);
        let take = |next: usize| {
            let base = next.checked_next_multiple_of(align)?;
            base.checked_add(count * paging::PAGE)
                .filter(|&next| next <= end)
        };
        let next = NEXT
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .ok()?;
        Some(paging::PhysAddr::from_usize(next.next_multiple_of(align)))
    }

    /// A block of RAM that nothing else is in.
    fn free_block(info: &BootInfo) -> Option<Region> {
        let taken = [Some(info.image), Some(info.fdt_region), info.initrd];
        info.machine.memory.iter().find_map(|bank| {
            let first = bank.base.next_multiple_of(BLOCK);
            let blocks = (first..bank.end()).step_by(BLOCK as usize);
            blocks
                .filter_map(|base| Region::new(base, BLOCK))
                .find(|block| {
                    let reserved = info
                        .machine
                        .reserved
                        .iter()
                        .map(|reservation| reservation.region);
                    block.end() <= bank.end()
                        && !taken
                            .into_iter()
                            .flatten()
                            .chain(reserved)
                            .any(|region| region.overlaps(block))
                })
        })
    }

    fn main(info: &'static BootInfo) -> ! {
        let cpus = &info.machine.cpus;
        if cpus.found > cpus.list.len() {
            console::write(format_args!(
                "axhv: uses {} of {} CPUs\n",
                cpus.list.len(),
                cpus.found
            ));
        }
        if let Some(block) = free_block(info) {
            let base = paging::PhysAddr::from_usize(block.base as usize);
            if paging::map_direct(base, block.size as usize).is_ok() {
                NEXT.store(block.base as usize, Ordering::Relaxed);
                END.store(block.end() as usize, Ordering::Relaxed);
                paging::set_frame_source(frames);
            }
        }
        cpu::start_all(secondary, |cpu, error| {
            console::write(format_args!("axhv: CPU {cpu}: {error:?}\n"));
        });
        while cpu::online().count_ones() < cpus.list.len() as u32 {
            core::hint::spin_loop();
        }
        console::write(format_args!(
            "axhv: {} CPUs, image at {:#x}, {:#x} bytes\n",
            cpu::count(),
            info.image.base,
            info.image.size
        ));
        power::off(0)
    }

    fn secondary(_: usize) -> ! {
        power::park()
    }

    fn irq() {}
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("axhv runs on the bare machine: build it with `make ARCH=aarch64 image`");
}
