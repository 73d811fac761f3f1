//! The device tree that the guest was given (Devicetree Specification, chapter 5). Who started the
//! guest is trusted to have put a whole one there, or none.

use core::sync::atomic::{AtomicUsize, Ordering};

const MAGIC: u32 = 0xd00d_feed;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;

/// Where it is, or 0.
static TREE: AtomicUsize = AtomicUsize::new(0);

/// Keeps where it is.
pub(crate) fn keep(tree: usize) {
    let there = tree != 0 && tree.is_multiple_of(8) && be32(tree) == MAGIC;
    TREE.store(if there { tree } else { 0 }, Ordering::Relaxed);
}

/// A property and where it is.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// How many nodes it is in: 1 for the root's.
    pub depth: usize,
    /// Its node's name.
    pub node: &'static str,
    /// Its own name.
    pub name: &'static str,
    /// Its value.
    pub value: &'static [u8],
}

impl Property {
    /// The four bytes of the value at `offset` as a number, or 0.
    pub fn cell(&self, offset: usize) -> u32 {
        let bytes = self.value.get(offset..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }

    /// The first string of the value.
    pub fn text(&self) -> &'static str {
        self.texts().next().unwrap_or_default()
    }

    /// All strings of the value.
    pub fn texts(&self) -> impl Iterator<Item = &'static str> + use<> {
        let texts = self.value.split(|&byte| byte == 0);
        texts.map(|bytes| core::str::from_utf8(bytes).unwrap_or_default())
    }
}

/// All properties, in their order.
#[derive(Debug)]
pub struct Properties {
    at: usize,
    strings: usize,
    depth: usize,
    node: &'static str,
}

/// All properties, in their order; none if there is no tree.
pub fn properties() -> Properties {
    let tree = TREE.load(Ordering::Relaxed);
    let offset = |at: usize| {
        if tree == 0 {
            0
        } else {
            be32(tree + at) as usize
        }
    };
    Properties {
        at: if tree == 0 { 0 } else { tree + offset(8) },
        strings: tree + offset(12),
        depth: 0,
        node: "",
    }
}

/// The first property with that name, in any node.
pub fn find(name: &str) -> Option<Property> {
    properties().find(|property| property.name == name)
}

impl Iterator for Properties {
    type Item = Property;

    fn next(&mut self) -> Option<Property> {
        if self.at == 0 {
            return None;
        }
        loop {
            let token = be32(self.at);
            self.at += 4;
            match token {
                BEGIN_NODE => {
                    self.depth += 1;
                    self.node = text(self.at);
                    self.at = (self.at + self.node.len() + 4) & !3;
                }
                // Properties come before child nodes: there is none behind this.
                END_NODE => self.depth -= 1,
                PROP => {
                    let length = be32(self.at) as usize;
                    let name = text(self.strings + be32(self.at + 4) as usize);
                    let value = self.at + 8;
                    self.at = (value + length + 3) & !3;
                    return Some(Property {
                        depth: self.depth,
                        node: self.node,
                        name,
                        // SAFETY: a property's value lies in the tree, which stays as it is.
                        value: unsafe { core::slice::from_raw_parts(value as *const u8, length) },
                    });
                }
                NOP => {}
                _ => {
                    self.at = 0;
                    return None;
                }
            }
        }
    }
}

fn be32(address: usize) -> u32 {
    // SAFETY: the callers stay in the device tree, which lies in RAM that nobody writes.
    u32::from_be(unsafe { (address as *const u32).read() })
}

fn text(address: usize) -> &'static str {
    // SAFETY: strings in a device tree end with 0 and stay where they are.
    let bytes = unsafe { core::ffi::CStr::from_ptr(address as *const _) };
    bytes.to_str().unwrap_or("")
}
