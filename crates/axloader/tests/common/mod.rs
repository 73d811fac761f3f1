//! Files as a linker and gzip make them, and guest memory that notices each wrong write.
#![allow(dead_code)]

pub mod tree;

use std::collections::BTreeMap;
use std::ops::Range;

use axloader::{AARCH64, GuestMemory, Inputs, RISCV64, STEP_BYTES};

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

/// An arm64 Image of `len` bytes with a pattern behind its header.
pub fn image(text_offset: u64, image_size: u64, len: usize) -> Vec<u8> {
    let mut file: Vec<u8> = (0..len).map(|i| (i * 7 + i / 256) as u8).collect();
    file[0..8].copy_from_slice(b"MZ\0\0\0\0\0\x14");
    file[8..16].copy_from_slice(&text_offset.to_le_bytes());
    file[16..24].copy_from_slice(&image_size.to_le_bytes());
    file[24..32].copy_from_slice(&0xau64.to_le_bytes());
    file[56..60].copy_from_slice(b"ARM\x64");
    file
}

/// A RISC-V Image of `len` bytes.
pub fn riscv_image(text_offset: u64, image_size: u64, len: usize) -> Vec<u8> {
    let mut file = image(text_offset, image_size, len);
    file[0..8].copy_from_slice(b"MZ\x6f\x10\0\0\0\0");
    file[24..32].copy_from_slice(&0u64.to_le_bytes());
    file[32..36].copy_from_slice(&2u32.to_le_bytes());
    file[48..56].copy_from_slice(b"RISCV\0\0\0");
    file[56..60].copy_from_slice(b"RSC\x05");
    file
}

#[derive(Clone, Debug)]
pub struct Load {
    pub vaddr: u64,
    pub paddr: u64,
    pub data: Vec<u8>,
    pub mem_size: u64,
}

/// An ELF64 executable; `kind` 2 is ET_EXEC, 3 ET_DYN.
pub fn elf(kind: u16, machine: u16, entry: u64, loads: &[Load]) -> Vec<u8> {
    let mut file = vec![0; 64 + 56 * loads.len()];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    file[16..18].copy_from_slice(&kind.to_le_bytes());
    file[18..20].copy_from_slice(&machine.to_le_bytes());
    file[24..32].copy_from_slice(&entry.to_le_bytes());
    file[32..40].copy_from_slice(&64u64.to_le_bytes());
    file[54..56].copy_from_slice(&56u16.to_le_bytes());
    file[56..58].copy_from_slice(&(loads.len() as u16).to_le_bytes());
    for (index, load) in loads.iter().enumerate() {
        let offset = file.len() as u64;
        let at = 64 + 56 * index;
        file[at..at + 4].copy_from_slice(&1u32.to_le_bytes());
        let fields = [
            offset,
            load.vaddr,
            load.paddr,
            load.data.len() as u64,
            load.mem_size,
        ];
        for (field, value) in fields.iter().enumerate() {
            file[at + 8 + 8 * field..][..8].copy_from_slice(&value.to_le_bytes());
        }
        file.extend_from_slice(&load.data);
    }
    file
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| {
            (c >> 1) ^ (0xedb8_8320 & (c & 1).wrapping_neg())
        })
    })
}

/// A gzip file with all optional header fields.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0b1_1110, 0, 0, 0, 0, 0, 3];
    file.extend_from_slice(b"\x03\0abcname\0a comment\0\xff\xff");
    file.extend(miniz_oxide::deflate::compress_to_vec(data, 6));
    file.extend(crc32(data).to_le_bytes());
    file.extend((data.len() as u32).to_le_bytes());
    file
}

pub fn inputs<'a>(kernel: &'a [u8], ram: &'a [Range<u64>]) -> Inputs<'a> {
    Inputs {
        protocol: &AARCH64,
        ram,
        kernel,
        kernel_addr: None,
        bios: None,
        entry: None,
        ramdisk: None,
        ramdisk_addr: None,
        dtb_addr: None,
        dtb_room: axloader::fdt::ROOM,
    }
}

pub fn riscv_inputs<'a>(kernel: &'a [u8], ram: &'a [Range<u64>]) -> Inputs<'a> {
    Inputs {
        protocol: &RISCV64,
        ..inputs(kernel, ram)
    }
}

/// Guest RAM that refuses to be written twice, outside RAM, or in pieces too large.
#[derive(Default)]
pub struct Memory {
    pub ram: Vec<Range<u64>>,
    /// What was written, by address.
    pub pieces: BTreeMap<u64, Vec<u8>>,
    pub zeroed: u64,
}

impl Memory {
    pub fn new(ram: &[Range<u64>]) -> Self {
        Self {
            ram: ram.to_vec(),
            ..Self::default()
        }
    }

    fn check(&self, gpa: u64, len: u64) -> Result<(), &'static str> {
        let end = gpa.checked_add(len).ok_or("wraps")?;
        if len == 0 || gpa / STEP_BYTES != (end - 1) / STEP_BYTES {
            return Err("crosses a block");
        }
        if !self
            .ram
            .iter()
            .any(|region| region.start <= gpa && end <= region.end)
        {
            return Err("outside RAM");
        }
        match self.pieces.range(..end).next_back() {
            Some((at, piece)) if at + piece.len() as u64 > gpa => Err("written twice"),
            _ => Ok(()),
        }
    }

    /// The written ranges, merged.
    pub fn ranges(&self) -> Vec<Range<u64>> {
        let mut merged: Vec<Range<u64>> = Vec::new();
        for (at, piece) in &self.pieces {
            let end = at + piece.len() as u64;
            match merged.last_mut() {
                Some(last) if last.end == *at => last.end = end,
                _ => merged.push(*at..end),
            }
        }
        merged
    }

    /// `len` bytes at `gpa`, all of which were written.
    pub fn read(&self, gpa: u64, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let at = gpa + bytes.len() as u64;
            let (start, piece) = self.pieces.range(..=at).next_back().expect("not written");
            let piece = &piece[(at - start) as usize..];
            assert!(!piece.is_empty(), "not written: {at:#x}");
            bytes.extend_from_slice(&piece[..piece.len().min(len - bytes.len())]);
        }
        bytes
    }
}

impl GuestMemory for Memory {
    type Error = &'static str;

    fn write(&mut self, gpa: u64, data: &[u8]) -> Result<(), Self::Error> {
        self.check(gpa, data.len() as u64)?;
        self.pieces.insert(gpa, data.to_vec());
        Ok(())
    }

    fn zero(&mut self, gpa: u64, len: u64) -> Result<(), Self::Error> {
        self.check(gpa, len)?;
        self.pieces.insert(gpa, vec![0; len as usize]);
        self.zeroed += len;
        Ok(())
    }
}
