//! Executing a plan, in bounded pieces.

use crate::gzip::Inflater;
use crate::plan::Unpacked;
use crate::{LoadError, LoadPlan, Segment, Source};

/// The most bytes one step writes. No step crosses a multiple of this either, so that it lies in
/// one block of the largest size guest RAM is made of.
pub const STEP_BYTES: u64 = 2 << 20;

/// Guest RAM, as the hypervisor gives it to the loader. Ranges never cross a multiple of
/// [`STEP_BYTES`].
pub trait GuestMemory {
    /// Why a range can't be written.
    type Error;

    /// Writes `data` at the guest physical address `gpa`, and makes it visible to a guest that
    /// runs with its caches off.
    fn write(&mut self, gpa: u64, data: &[u8]) -> Result<(), Self::Error>;

    /// The same with `len` zero bytes.
    fn zero(&mut self, gpa: u64, len: u64) -> Result<(), Self::Error>;
}

/// How far loading has come. Between two [`step`](Self::step)s the caller may be preempted.
pub struct Loader<'p, 'a> {
    segments: &'p [Segment<'a>],
    /// Bytes of the first of `segments` that were written.
    done: u64,
    inflater: Option<Inflater<'a>>,
}

impl<'p, 'a> Loader<'p, 'a> {
    /// At the beginning of `plan`.
    pub fn new(plan: &'p LoadPlan<'a>) -> Self {
        Self {
            segments: plan.segments(),
            done: 0,
            inflater: None,
        }
    }

    /// Writes the next piece: at most [`STEP_BYTES`]. `true` as long as there is more to do.
    pub fn step<M: GuestMemory>(&mut self, memory: &mut M) -> Result<bool, LoadError<M::Error>> {
        let Some((segment, rest)) = self.segments.split_first() else {
            return Ok(false);
        };
        let finished = match &segment.source {
            Source::Gzip(file) => self.inflate(segment.gpa, file, memory)?,
            Source::Bytes(bytes) => self.copy(segment, Some(bytes), memory)?,
            Source::Owned(bytes) => self.copy(segment, Some(bytes), memory)?,
            Source::Zero(_) => self.copy(segment, None, memory)?,
        };
        if finished {
            self.segments = rest;
            self.done = 0;
            self.inflater = None;
        }
        Ok(!self.segments.is_empty())
    }

    /// All steps at once.
    pub fn run<M: GuestMemory>(mut self, memory: &mut M) -> Result<(), LoadError<M::Error>> {
        while self.step(memory)? {}
        Ok(())
    }

    /// Copies the next piece of `bytes`, or clears it; `true` after the last one.
    fn copy<M: GuestMemory>(
        &mut self,
        segment: &Segment<'_>,
        bytes: Option<&[u8]>,
        memory: &mut M,
    ) -> Result<bool, LoadError<M::Error>> {
        let left = segment.size().saturating_sub(self.done);
        if left == 0 {
            return Ok(true);
        }
        // The plan has checked that the segment doesn't wrap.
        let gpa = segment.gpa.wrapping_add(self.done);
        let len = left.min(STEP_BYTES - gpa % STEP_BYTES);
        let result = match bytes {
            None => memory.zero(gpa, len),
            Some(bytes) => {
                let piece = bytes.get(self.done as usize..).unwrap_or(&[]);
                memory.write(gpa, piece.get(..len as usize).unwrap_or(piece))
            }
        };
        result.map_err(|error| LoadError::Memory { gpa, error })?;
        self.done += len;
        Ok(left == len)
    }

    fn inflate<M: GuestMemory>(
        &mut self,
        base: u64,
        file: &Unpacked<'a>,
        memory: &mut M,
    ) -> Result<bool, LoadError<M::Error>> {
        let inflater = self.inflater.get_or_insert_with(|| Inflater::new(file.0));
        let mut piece = inflater.step().map_err(LoadError::Gzip)?;
        while !piece.is_empty() {
            let gpa = base.wrapping_add(self.done);
            let room = (STEP_BYTES - gpa % STEP_BYTES) as usize;
            let (now, later) = piece.split_at(piece.len().min(room));
            memory
                .write(gpa, now)
                .map_err(|error| LoadError::Memory { gpa, error })?;
            self.done += now.len() as u64;
            piece = later;
        }
        Ok(inflater.done())
    }
}
