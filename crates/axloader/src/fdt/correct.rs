//! A user's own device tree, with the nodes replaced that the hypervisor decides about.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use axmachine::{Fdt, Node};

use super::node::{Cells, Tree, stem, uart_alias, uart_name};
use super::write::Writer;
use super::{Arch, Chosen, FdtError, GuestPlatform, Uart, arm, riscv};

/// The paths of replaced nodes may have so many bytes together. A real tree's have a few hundred.
const REPLACED_MAX: usize = 64 << 10;

/// Re-emits `dtb` with memory, CPUs, PSCI, interrupt controller, timer, console and `/chosen` as
/// `platform` and `chosen` say; PMU nodes go, as guests have none, and what is machine mode's. All other nodes stay as they
/// are. The interrupt controller keeps the phandle that the user's has, so that references to it
/// stay right; those to its message-signalled part, which guests don't have, go.
///
/// `platform.devices` is not looked at: the user's tree has its own nodes for them.
pub fn correct(
    dtb: &[u8],
    platform: &GuestPlatform<'_>,
    chosen: &Chosen<'_>,
) -> Result<Vec<u8>, FdtError> {
    let fdt = Fdt::new(dtb).map_err(FdtError::Parse)?;
    let root = fdt.root();
    let survey = Survey::of(fdt, platform)?;
    let mut tree = Tree {
        fdt: Writer::new(fdt.reservations().collect()),
        arch: &platform.arch,
        bus: riscv::BUS,
        // The defaults of section 2.3.5 of the specification.
        cells: Cells {
            address: cell(&root, "#address-cells").unwrap_or(2),
            size: cell(&root, "#size-cells").unwrap_or(1),
        },
        intc: 0,
        intc_address_cells: survey.intc_address_cells,
        next_phandle: 1,
        used_phandles: survey.phandles.clone(),
    };
    tree.intc = match survey.intc {
        Some(phandle) => phandle,
        None => tree.new_phandle(),
    };
    let node = tree.fdt.begin_node("");
    copy_properties(&mut tree, &root, &[])?;
    tree.platform(platform, &[])?;
    for child in root.children() {
        match child.name() {
            "chosen" | "aliases" => {}
            name => {
                let path = format!("/{name}");
                copy_node(&mut tree, &child, path, &survey)?;
            }
        }
    }
    write_aliases(&mut tree, child(&root, "aliases"), platform, &survey)?;
    write_chosen(&mut tree, child(&root, "chosen"), platform, chosen, &survey)?;
    tree.fdt.end_node(node);
    tree.fdt.finish()
}

/// What has to be known of the user's tree before it is written again.
struct Survey {
    phandles: BTreeSet<u32>,
    /// The interrupt controller's phandle.
    intc: Option<u32>,
    intc_address_cells: u32,
    /// Paths of the nodes that are replaced.
    replaced: BTreeSet<String>,
    /// Bytes of these.
    replaced_bytes: usize,
}

/// What decides whether a node is replaced.
struct Ours<'a> {
    arch: &'a Arch<'a>,
    names: Vec<String>,
    uarts: &'a [Uart],
    /// The path of the user's console, which ours replaces.
    stdout: Option<&'a str>,
}

impl Survey {
    fn of(fdt: Fdt<'_>, platform: &GuestPlatform<'_>) -> Result<Self, FdtError> {
        let fixed: &[&str] = match platform.arch {
            Arch::Arm { .. } => &arm::NAMES,
            Arch::Riscv { .. } => &riscv::NAMES,
        };
        let mut names: Vec<String> = fixed.iter().copied().map(String::from).collect();
        names.extend(
            platform
                .memory
                .iter()
                .map(|region| format!("memory@{:x}", region.start)),
        );
        if let Some(address) = platform.arch.irqchip_address() {
            names.push(format!("interrupt-controller@{address:x}"));
        }
        names.extend(platform.uarts.iter().map(uart_name));
        let ours = Ours {
            arch: &platform.arch,
            names,
            uarts: platform.uarts,
            stdout: stdout(fdt).filter(|_| !platform.uarts.is_empty()),
        };
        let mut survey = Self {
            phandles: BTreeSet::new(),
            intc: None,
            intc_address_cells: 0,
            replaced: BTreeSet::new(),
            replaced_bytes: 0,
        };
        for child in fdt.root().children() {
            let path = format!("/{}", child.name());
            survey.node(&child, path, &ours, 1)?;
        }
        Ok(survey)
    }

    fn node(
        &mut self,
        node: &Node<'_>,
        path: String,
        ours: &Ours<'_>,
        depth: usize,
    ) -> Result<(), FdtError> {
        let phandle = cell(node, "phandle").or_else(|| cell(node, "linux,phandle"));
        // All that are written, of a node with several, too.
        let all = node
            .properties()
            .filter(|property| is_phandle(property.name));
        let all = all.filter_map(|property| property.value.try_into().ok());
        self.phandles.extend(all.map(u32::from_be_bytes));
        if ours.is_irqchip(node)
            && node.property("interrupt-controller").is_some()
            && self.intc.is_none()
        {
            let cells = cell(node, "#interrupt-cells").unwrap_or(0);
            if cells != ours.interrupt_cells() {
                return Err(FdtError::InterruptCells(cells));
            }
            self.intc = phandle;
            // An interrupt-map counts its parent's address cells (section 2.4.3).
            self.intc_address_cells = cell(node, "#address-cells").unwrap_or(0);
        }
        let replaced = ours.replace(node, &path, depth);
        for child in node.children() {
            let path = format!("{path}/{}", child.name());
            self.node(&child, path, ours, depth + 1)?;
        }
        if replaced {
            self.replaced_bytes += path.len();
            if self.replaced_bytes > REPLACED_MAX {
                return Err(FdtError::Replaced(REPLACED_MAX));
            }
            self.replaced.insert(path);
        }
        Ok(())
    }

    /// Whether `path`, perhaps with options after a colon, is in a node that is replaced.
    fn is_gone(&self, path: &str) -> bool {
        let path = path.split(':').next().unwrap_or(path);
        let starts = path.match_indices('/').skip(1).map(|(at, _)| at);
        starts.chain([path.len()]).any(|end| {
            path.get(..end)
                .is_some_and(|part| self.replaced.contains(part))
        })
    }
}

impl Ours<'_> {
    fn is_irqchip(&self, node: &Node<'_>) -> bool {
        match self.arch {
            Arch::Arm { .. } => arm::is_irqchip(node),
            Arch::Riscv { .. } => riscv::is_irqchip(node),
        }
    }

    fn interrupt_cells(&self) -> u32 {
        match self.arch {
            Arch::Arm { .. } => arm::INTERRUPT_CELLS,
            Arch::Riscv { .. } => riscv::INTERRUPT_CELLS,
        }
    }

    fn replace(&self, node: &Node<'_>, path: &str, depth: usize) -> bool {
        let (is_ours, is_uart) = match self.arch {
            Arch::Arm { .. } => (arm::is_ours(node), arm::is_uart(node)),
            Arch::Riscv { .. } => (riscv::is_ours(node), riscv::is_uart(node)),
        };
        let top = depth == 1;
        let memory = stem(node) == "memory" || node.string("device_type") == Some("memory");
        let in_place = |uart: &Uart| starts_at(node, uart.registers.start);
        let uart = self.stdout == Some(path) || (is_uart && self.uarts.iter().any(in_place));
        (top && (memory || self.names.iter().any(|name| name == node.name()))) || uart || is_ours
    }
}

/// The path `/chosen/stdout-path` means, without its options.
fn stdout(fdt: Fdt<'_>) -> Option<&str> {
    let root = fdt.root();
    let chosen = child(&root, "chosen")?;
    let path = chosen
        .string("stdout-path")
        .or_else(|| chosen.string("linux,stdout-path"))?;
    let path = path.split(':').next()?;
    if path.starts_with('/') {
        return Some(path);
    }
    child(&root, "aliases")?.string(path)
}

/// The child of exactly this name.
fn child<'a>(node: &Node<'a>, name: &str) -> Option<Node<'a>> {
    node.children().find(|child| child.name() == name)
}

fn is_phandle(name: &str) -> bool {
    ["phandle", "linux,phandle"].contains(&name)
}

fn cell(node: &Node<'_>, name: &str) -> Option<u32> {
    let value = node.property(name)?.try_into().ok()?;
    Some(u32::from_be_bytes(value))
}

/// Whether the node's unit address, which repeats the first address of its `reg`, is `address`.
fn starts_at(node: &Node<'_>, address: u64) -> bool {
    node.name()
        .split_once('@')
        .is_some_and(|(_, unit)| u64::from_str_radix(unit, 16) == Ok(address))
}

fn copy_properties(tree: &mut Tree, node: &Node<'_>, but: &[&str]) -> Result<(), FdtError> {
    // The guest's interrupt controller takes no messages.
    const GONE: [&str; 2] = ["msi-parent", "msi-map"];
    for property in node.properties() {
        let name = property.name;
        if but.contains(&name) || GONE.contains(&name) {
            continue;
        }
        match (name, property.value.try_into()) {
            // Refuses one that is there twice.
            ("phandle", Ok(cell)) => tree.fdt.property_phandle(u32::from_be_bytes(cell))?,
            _ => tree.fdt.property(name, property.value)?,
        }
    }
    Ok(())
}

/// Copies a node and what is below it. The reader bounds the depth.
fn copy_node(
    tree: &mut Tree,
    node: &Node<'_>,
    path: String,
    survey: &Survey,
) -> Result<(), FdtError> {
    if survey.replaced.contains(&path) {
        return Ok(());
    }
    let written = tree.fdt.begin_node(node.name());
    if path == "/__symbols__" {
        copy_paths(tree, node, |_| false, survey)?;
    } else {
        copy_properties(tree, node, &[])?;
    }
    for child in node.children() {
        let path = format!("{path}/{}", child.name());
        copy_node(tree, &child, path, survey)?;
    }
    tree.fdt.end_node(written);
    Ok(())
}

/// Copies properties that are paths, but those named by `but` and those into replaced nodes.
fn copy_paths(
    tree: &mut Tree,
    node: &Node<'_>,
    but: impl Fn(&str) -> bool,
    survey: &Survey,
) -> Result<(), FdtError> {
    for property in node.properties() {
        let name = property.name;
        if but(name) || node.string(name).is_some_and(|path| survey.is_gone(path)) {
            continue;
        }
        tree.fdt.property(name, property.value)?;
    }
    Ok(())
}

fn write_aliases(
    tree: &mut Tree,
    user: Option<Node<'_>>,
    platform: &GuestPlatform<'_>,
    survey: &Survey,
) -> Result<(), FdtError> {
    if user.is_none() && platform.uarts.is_empty() {
        return Ok(());
    }
    let node = tree.fdt.begin_node("aliases");
    tree.uart_aliases(platform.uarts)?;
    if let Some(user) = user {
        let ours = |name: &str| (0..platform.uarts.len()).any(|n| name == uart_alias(n));
        copy_paths(tree, &user, ours, survey)?;
    }
    tree.fdt.end_node(node);
    Ok(())
}

fn write_chosen(
    tree: &mut Tree,
    user: Option<Node<'_>>,
    platform: &GuestPlatform<'_>,
    chosen: &Chosen<'_>,
    survey: &Survey,
) -> Result<(), FdtError> {
    let mut ours = Vec::from(["linux,initrd-start", "linux,initrd-end", "rng-seed"]);
    let console = platform.uarts.first();
    if console.is_some() {
        ours.extend(["stdout-path", "linux,stdout-path"]);
    }
    if chosen.bootargs.is_some() {
        ours.push("bootargs");
    }
    let node = tree.fdt.begin_node("chosen");
    tree.chosen(chosen, console)?;
    if let Some(user) = user {
        copy_properties(tree, &user, &ours)?;
        for child in user.children() {
            let path = format!("/chosen/{}", child.name());
            copy_node(tree, &child, path, survey)?;
        }
    }
    tree.fdt.end_node(node);
    Ok(())
}
