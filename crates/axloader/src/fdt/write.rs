//! Writes flattened device trees (Devicetree Specification v0.4, chapter 5). Names may be longer
//! than the specification's 31 characters, as those of real boards' trees are.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use axmachine::Fdt;

use super::FdtError;

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
const LAST_COMPATIBLE_VERSION: u32 = 16;
const HEADER_SIZE: usize = 40;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const END: u32 = 9;

/// A tree being written. Misuse (properties behind child nodes, names with slashes...) is found by
/// [`finish`](Self::finish), which reads the tree back.
#[derive(Default)]
pub(super) struct Writer {
    reservations: Vec<(u64, u64)>,
    structure: Vec<u8>,
    strings: Vec<u8>,
    /// Where each property name is in `strings`.
    names: BTreeMap<String, u32>,
    phandles: BTreeSet<u32>,
}

/// A node that is to be ended.
#[must_use]
pub(super) struct Open(());

fn word(len: usize) -> Result<u32, FdtError> {
    u32::try_from(len).map_err(|_| FdtError::Size(len))
}

impl Writer {
    /// With a block of memory reservations: address and size each.
    pub fn new(reservations: Vec<(u64, u64)>) -> Self {
        Self {
            reservations,
            ..Self::default()
        }
    }

    fn token(&mut self, token: u32) {
        self.structure.extend_from_slice(&token.to_be_bytes());
    }

    fn pad(&mut self) {
        let len = self.structure.len().next_multiple_of(4);
        self.structure.resize(len, 0);
    }

    pub fn begin_node(&mut self, name: &str) -> Open {
        self.token(BEGIN_NODE);
        self.structure.extend_from_slice(name.as_bytes());
        self.structure.push(0);
        self.pad();
        Open(())
    }

    pub fn end_node(&mut self, _: Open) {
        self.token(END_NODE);
    }

    pub fn property(&mut self, name: &str, value: &[u8]) -> Result<(), FdtError> {
        let at = match self.names.get(name) {
            Some(at) => *at,
            None => {
                let at = word(self.strings.len())?;
                self.strings.extend_from_slice(name.as_bytes());
                self.strings.push(0);
                self.names.insert(String::from(name), at);
                at
            }
        };
        self.token(PROP);
        self.token(word(value.len())?);
        self.token(at);
        self.structure.extend_from_slice(value);
        self.pad();
        Ok(())
    }

    pub fn property_null(&mut self, name: &str) -> Result<(), FdtError> {
        self.property(name, &[])
    }

    pub fn property_u32(&mut self, name: &str, value: u32) -> Result<(), FdtError> {
        self.property(name, &value.to_be_bytes())
    }

    pub fn property_u64(&mut self, name: &str, value: u64) -> Result<(), FdtError> {
        self.property(name, &value.to_be_bytes())
    }

    pub fn property_cells(&mut self, name: &str, cells: &[u32]) -> Result<(), FdtError> {
        let value: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.property(name, &value)
    }

    pub fn property_string(&mut self, name: &str, value: &str) -> Result<(), FdtError> {
        self.property_strings(name, &[value])
    }

    pub fn property_strings(&mut self, name: &str, values: &[&str]) -> Result<(), FdtError> {
        let mut bytes = Vec::new();
        for value in values {
            if let Some(at) = value.bytes().position(|byte| byte == 0) {
                return Err(FdtError::Nul(at));
            }
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(0);
        }
        self.property(name, &bytes)
    }

    /// The node's phandle, which no other node has.
    pub fn property_phandle(&mut self, phandle: u32) -> Result<(), FdtError> {
        if !self.phandles.insert(phandle) {
            return Err(FdtError::PhandleTwice(phandle));
        }
        self.property_u32("phandle", phandle)
    }

    /// The tree (section 5.1): header, reservations, structure, strings.
    pub fn finish(mut self) -> Result<Vec<u8>, FdtError> {
        self.token(END);
        // The reservations end with an entry of zeros.
        let structure = HEADER_SIZE + (self.reservations.len() + 1) * 16;
        let strings = structure + self.structure.len();
        let size = strings + self.strings.len();
        let header = [
            MAGIC,
            word(size)?,
            word(structure)?,
            word(strings)?,
            HEADER_SIZE as u32,
            VERSION,
            LAST_COMPATIBLE_VERSION,
            // boot_cpuid_phys: the first CPU's.
            0,
            word(self.strings.len())?,
            word(self.structure.len())?,
        ];
        let mut blob = Vec::with_capacity(size);
        blob.extend(header.iter().flat_map(|field| field.to_be_bytes()));
        for (address, size) in self.reservations.iter().chain(&[(0, 0)]) {
            blob.extend_from_slice(&address.to_be_bytes());
            blob.extend_from_slice(&size.to_be_bytes());
        }
        blob.extend_from_slice(&self.structure);
        blob.extend_from_slice(&self.strings);
        Fdt::new(&blob).map_err(FdtError::Written)?;
        Ok(blob)
    }
}
