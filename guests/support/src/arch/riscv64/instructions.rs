//! Loads and stores for `mmio`: `v` is the value, `a` the address.

macro_rules! load {
    (8) => {
        "lbu {v}, 0({a})"
    };
    (16) => {
        "lhu {v}, 0({a})"
    };
    (32) => {
        "lwu {v}, 0({a})"
    };
    (64) => {
        "ld {v}, 0({a})"
    };
}

macro_rules! store {
    (8) => {
        "sb {v}, 0({a})"
    };
    (16) => {
        "sh {v}, 0({a})"
    };
    (32) => {
        "sw {v}, 0({a})"
    };
    (64) => {
        "sd {v}, 0({a})"
    };
}
