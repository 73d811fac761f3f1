//! Loads and stores for `mmio`: `v` is the value, `a` the address.

macro_rules! load {
    (8) => {
        "ldrb {v:w}, [{a}]"
    };
    (16) => {
        "ldrh {v:w}, [{a}]"
    };
    (32) => {
        "ldr {v:w}, [{a}]"
    };
    (64) => {
        "ldr {v}, [{a}]"
    };
}

macro_rules! store {
    (8) => {
        "strb {v:w}, [{a}]"
    };
    (16) => {
        "strh {v:w}, [{a}]"
    };
    (32) => {
        "str {v:w}, [{a}]"
    };
    (64) => {
        "str {v}, [{a}]"
    };
}
