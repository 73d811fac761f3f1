//! The smallest guest that uses everything: it prints, takes a timer interrupt, starts its second
//! vCPU, and switches its machine off.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::sync::wait_for;
use guest_support::{LEVEL, cpu, exception, firmware, lines, println, smp, timer};

guest_support::guest!(main);

/// The number of the CPU that answered.
static ANSWER: AtomicU64 = AtomicU64::new(0);

fn main() {
    println!("hello: CPU 0 runs at {LEVEL}");
    let version = firmware::version();
    println!("hello: {} version {version:#x}", firmware::NAME);
    timer_interrupt();
    if smp::count() > 1 {
        second_cpu();
    } else {
        println!("hello: there is no second CPU");
    }
    println!("hello: done");
}

fn timer_interrupt() {
    exception::on_interrupt(Some(|_| timer::stop()), true);
    lines::enable(timer::LINE);
    timer::arm(10);
    let came = wait_for(1000, || exception::taken(0, timer::LINE) == 1);
    println!(
        "hello: the timer interrupt {}",
        if came { "came" } else { "did not come" }
    );
}

fn second_cpu() {
    smp::give(1, || ANSWER.store(cpu() as u64, Ordering::SeqCst));
    smp::wait(1);
    match ANSWER.load(Ordering::SeqCst) {
        1 => println!("hello: CPU 1 answered"),
        other => println!("hello: CPU 1 did not answer ({other})"),
    }
}
