//! The host's side: rendering like a compiler's, explanations, printing as TOML, packing bundles.
//! Never part of the image.

pub mod board;
mod explain;
mod files;
mod help;
mod pack;
mod print;
mod reference;
mod render;
mod template;

pub use explain::{explain_code, memory_map};
pub use files::{Images, load_images, sizes};
pub use help::{Help, help};
pub use pack::{PackError, pack, write_archive};
pub use print::to_toml;
pub use reference::{errors_markdown, schema_markdown};
pub use render::{json, render};
pub use template::{Guest, template};
