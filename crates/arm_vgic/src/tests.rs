//! Tests of the model with a fake of the hardware under it: a virtual CPU interface as IHI 0069
//! describes it, with a guest's hand on it.

mod delivery;
mod fake;
mod linked;
mod model;
mod registers;
mod sgi;
mod threads;
