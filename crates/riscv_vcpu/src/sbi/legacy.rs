//! The legacy extensions (chapter 5): small kernels call nothing else, and FreeBSD's looks for them.
//! The extension is the function; they return one register, and name harts by a mask in the guest's
//! memory, at a virtual address.

use super::Fence;

/// The first and the last of the extensions.
const SET_TIMER: u64 = 0;
const SHUTDOWN: u64 = 8;

/// What a legacy call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Legacy {
    /// A timer interrupt at this time of the guest's clock, and none before.
    SetTimer(u64),
    /// Writes a byte to the console, and waits until there is room.
    PutCharacter(u8),
    /// Reads a byte from the console; -1 if there is none.
    GetCharacter,
    /// Takes a pending software interrupt back; whether there was one.
    ClearIpi,
    /// A software interrupt to the harts whose mask is at this virtual address.
    SendIpi(u64),
    /// Fences on the harts whose mask is at this virtual address.
    RemoteFence(u64, Fence),
    /// Switches the machine off.
    Shutdown,
}

/// Whether there is such an extension.
pub const fn probe(extension: u64) -> bool {
    extension <= SHUTDOWN
}

/// Decodes a call; `a` holds a0 to a7. `None` if it is none of these.
pub fn decode(a: [u64; 8]) -> Option<Legacy> {
    let [a0, start, size, asid, .., extension] = a;
    let translations = |asid| Fence::Translations { start, size, asid };
    Some(match extension {
        SET_TIMER => Legacy::SetTimer(a0),
        1 => Legacy::PutCharacter(a0 as u8),
        2 => Legacy::GetCharacter,
        3 => Legacy::ClearIpi,
        4 => Legacy::SendIpi(a0),
        5 => Legacy::RemoteFence(a0, Fence::Instructions),
        6 => Legacy::RemoteFence(a0, translations(None)),
        7 => Legacy::RemoteFence(a0, translations(Some(asid))),
        SHUTDOWN => Legacy::Shutdown,
        _ => return None,
    })
}
