//! What a trapped instruction was: from its syndrome, and where that says nothing from the
//! instruction itself. Pure functions on values.

mod aarch32;
mod load_store;
mod syndrome;

pub use aarch32::{advance_itstate, condition_holds, needs_step_over, step_over};
pub use load_store::{Base, Decoded, Extend, LoadStore, Offset, Transfer, Unsupported, load_store};
pub use syndrome::{
    DataAbort, SysAccess, Wait, WaitKind, class, exception_class, immediate, instruction_length,
    wfit_register,
};
