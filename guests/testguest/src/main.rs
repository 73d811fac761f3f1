//! placeholder
#![no_std]
#![no_main]
guest_support::guest!(main);
fn main() {}
