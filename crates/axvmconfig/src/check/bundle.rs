//! What several descriptions say together.

use alloc::vec::Vec;

use crate::{
    AxVMCrateConfig, Code, Data, Diagnostic, PassThroughTarget, VmMemMappingType,
    layout::{line, meet},
};

/// The checks between VMs that run together. Each diagnostic belongs to the file with the index
/// given (the later one of the two); [`Diagnostic::other`] is not set, for it would be a place in
/// another file.
pub fn check_bundle(configs: &[&AxVMCrateConfig]) -> Vec<(usize, Diagnostic)> {
    let mut out = Vec::new();
    for (n, config) in configs.iter().enumerate() {
        for earlier in configs.iter().take(n) {
            pair(config, earlier, &mut |d| {
                if !out.contains(&(n, d)) {
                    out.push((n, d));
                }
            });
        }
    }
    out
}

fn pair(config: &AxVMCrateConfig, earlier: &AxVMCrateConfig, say: &mut dyn FnMut(Diagnostic)) {
    let arch = config.arch;
    let (base, other) = (&config.base, &earlier.base);
    if base.id == other.id {
        say(Diagnostic::new(Code::VmIdTwice, base.id.span));
    }
    if base.name == other.name {
        say(Diagnostic::new(Code::VmNameTwice, base.name.span));
    }
    for region in &config.kernel.memory_regions {
        let at_host = |r: &crate::VmMemConfig| {
            (r.map_type != VmMemMappingType::MapAlloc).then_some((r.gpa, r.size))
        };
        let Some(range) = at_host(&region.value) else {
            continue;
        };
        let others = earlier.kernel.memory_regions.iter();
        for other in others.filter_map(|r| at_host(&r.value)) {
            if meet(range, other) {
                let shared = Diagnostic::new(Code::MemoryShared, region.span);
                say(shared.with(Data::Ranges(range, other)));
            }
        }
    }
    for device in &config.devices.passthrough_devices {
        for other in &earlier.devices.passthrough_devices {
            match (&device.value.target, &other.value.target) {
                (PassThroughTarget::Address(a), PassThroughTarget::Address(b)) => {
                    let ranges = ((a.base_hpa, a.length), (b.base_hpa, b.length));
                    if meet(ranges.0, ranges.1) {
                        let shared = Diagnostic::new(Code::DeviceShared, device.span);
                        say(shared.with(Data::Ranges(ranges.0, ranges.1)));
                    } else if let Some(irq) = a.irq_id.filter(|irq| b.irq_id == Some(*irq)) {
                        let shared = Diagnostic::new(Code::IrqShared, device.span);
                        say(shared.with(line(arch, irq)));
                    }
                }
                (PassThroughTarget::Path(a), PassThroughTarget::Path(b)) if a == b => {
                    say(Diagnostic::new(Code::DeviceShared, device.span));
                }
                // A path and an address are compared once the path is resolved.
                _ => {}
            }
        }
    }
}
