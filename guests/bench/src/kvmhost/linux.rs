//! Linux's system calls, as far as they are needed, and what KVM shares with a program.

use core::arch::asm;
use core::ffi::CStr;

/// Numbers of system calls (include/uapi/asm-generic/unistd.h).
const IOCTL: u64 = 29;
const OPENAT: u64 = 56;
const READ: u64 = 63;
const WRITE: u64 = 64;
const EXIT_GROUP: u64 = 94;
const SCHED_SETAFFINITY: u64 = 122;
const SCHED_GETAFFINITY: u64 = 123;
const SCHED_YIELD: u64 = 124;
const MMAP: u64 = 222;

const CURRENT_DIRECTORY: u64 = -100_i64 as u64;
const READ_WRITE: u64 = 2;
/// KVM_INTERRUPT, and what it is told.
const INTERRUPT: u64 = 0x4004_ae86;
const SET: u32 = u32::MAX;
const UNSET: u32 = u32::MAX - 1;

/// Names the program's main function.
macro_rules! program {
    ($main:path) => {
        core::arch::global_asm!(
            ".section .head, \"ax\"",
            ".global _head",
            "_head: mv a0, sp",
            "call {start}",
            start = sym start
        );

        /// Linux left the arguments on the stack.
        extern "C" fn start(stack: *const u64) -> ! {
            $main(linux::Arguments::new(stack));
            linux::exit(0)
        }
    };
}
pub(crate) use program;

core::arch::global_asm!(
    ".text",
    // start_thread(stack, function, argument): clone with CLONE_VM, FS, FILES, SIGHAND, THREAD and
    // SYSVSEM. System calls keep all registers but a0.
    "start_thread:",
    "mv t0, a1",
    "mv t1, a2",
    "mv a1, a0",
    "li a0, 0x50f00",
    "li a2, 0",
    "li a3, 0",
    "li a4, 0",
    "li a7, 220",
    "ecall",
    "bnez a0, 1f",
    "mv a0, t1",
    "jr t0",
    "1: ret",
);

unsafe extern "C" {
    fn start_thread(stack: u64, function: extern "C" fn(usize) -> !, argument: usize) -> i64;
}

/// A system call; its result, negative where it failed.
fn call(number: u64, args: [u64; 6]) -> i64 {
    let result;
    // SAFETY: the callers here give memory of their own, or what the kernel maps anew.
    unsafe {
        asm!("ecall", in("a7") number, inout("a0") args[0] => result, in("a1") args[1],
             in("a2") args[2], in("a3") args[3], in("a4") args[4], in("a5") args[5],
             options(nostack));
    }
    result
}

/// The result of a system call that must not fail.
fn must(what: &str, result: i64) -> u64 {
    match u64::try_from(result) {
        Ok(result) => result,
        Err(_) => fail(what, result.unsigned_abs()),
    }
}

/// The words of the command line.
pub struct Arguments(*const u64);

impl Arguments {
    /// Those that Linux left at `stack`.
    pub fn new(stack: *const u64) -> Self {
        Self(stack)
    }

    /// The n-th word; 0 is the program.
    pub fn get(&self, n: usize) -> &'static CStr {
        // SAFETY: the number of words stands first, and then their addresses; they stay.
        unsafe {
            if n as u64 >= self.0.read() {
                fail("an argument is missing", n as u64);
            }
            CStr::from_ptr(self.0.add(1 + n).read() as *const _)
        }
    }
}

/// Opens a file to read and write, or, where that can't be, to read.
pub fn open(path: &CStr) -> u64 {
    let open = |how| {
        let path = path.as_ptr() as u64;
        call(OPENAT, [CURRENT_DIRECTORY, path, how, 0, 0, 0])
    };
    let both = open(READ_WRITE);
    must(
        "a file can't be opened",
        if both < 0 { open(0) } else { both },
    )
}

/// Reads all that `file` has, at most `room` bytes, to `address`.
pub fn read_whole(file: u64, mut address: u64, mut room: u64) {
    loop {
        let result = call(READ, [file, address, room, 0, 0, 0]);
        let count = must("a file can't be read", result);
        if count == 0 {
            return;
        }
        address += count;
        room -= count;
    }
}

/// Memory that is shared with `file`, or that is nobody else's.
pub fn memory(file: Option<u64>, size: u64) -> u64 {
    // PROT_READ and WRITE; MAP_SHARED, and without a file MAP_ANONYMOUS.
    let (file, flags) = file.map_or((u64::MAX, 0x21), |file| (file, 1));
    must("no memory", call(MMAP, [0, size, 3, flags, file, 0]))
}

/// `ioctl`; ends the program if it fails.
pub fn ioctl(file: u64, request: u64, argument: u64) -> u64 {
    must("ioctl", try_ioctl(file, request, argument))
}

/// `ioctl`.
pub fn try_ioctl(file: u64, request: u64, argument: u64) -> i64 {
    call(IOCTL, [file, request, argument, 0, 0, 0])
}

/// Sets the level of a vCPU's external interrupt.
pub fn interrupt(vcpu: u64, level: bool) {
    let what = if level { SET } else { UNSET };
    ioctl(vcpu, INTERRUPT, &raw const what as u64);
}

/// Prints on the console.
pub fn print(text: &[u8]) {
    call(WRITE, [1, text.as_ptr() as u64, text.len() as u64, 0, 0, 0]);
}

/// Keeps this thread on CPU number `cpu`, if it may run there: otherwise a thread that is woken may wait
/// for its waker's CPU while another one is idle.
pub fn stay_on(cpu: usize) {
    // As many as the kernel knows, at least.
    let mut allowed = [0_u64; 16];
    let size = size_of_val(&allowed) as u64;
    let address = allowed.as_mut_ptr() as u64;
    must(
        "no CPUs",
        call(SCHED_GETAFFINITY, [0, size, address, 0, 0, 0]),
    );
    let wanted = 1_u64 << cpu;
    if allowed[0] & wanted != 0 {
        let wanted = &raw const wanted as u64;
        must("no CPU", call(SCHED_SETAFFINITY, [0, 8, wanted, 0, 0, 0]));
    }
}

/// Lets other threads run.
pub fn give_way() {
    call(SCHED_YIELD, [0; 6]);
}

/// Starts a thread.
pub fn thread(function: extern "C" fn(usize) -> !, argument: usize) {
    const STACK: u64 = 1 << 16;
    let stack = memory(None, STACK) + STACK;
    // SAFETY: the stack is nobody else's and stays; both threads keep to what is `Sync`.
    let result = unsafe { start_thread(stack, function, argument) };
    must("no thread", result);
}

/// Ends the program.
pub fn exit(status: u64) -> ! {
    loop {
        call(EXIT_GROUP, [status, 0, 0, 0, 0, 0]);
    }
}

/// Says what went wrong, with a number that tells more, and ends the program.
pub fn fail(what: &str, number: u64) -> ! {
    let mut line = *b" 00000000\n";
    for (n, digit) in line[1..9].iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (4 * n)) as usize & 15];
    }
    print(b"kvmhost: ");
    print(what.as_bytes());
    print(&line);
    exit(1)
}

/// What the kernel tells about a vCPU that came back (`struct kvm_run`).
pub struct Run(*mut u8);

impl Run {
    /// The one that is mapped at `address`.
    pub fn new(address: u64) -> Self {
        Self(address as *mut u8)
    }

    fn get<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: the kernel mapped it, it is larger than all offsets used here, and while the vCPU
        // doesn't run it stays as it is.
        unsafe { self.0.add(offset).cast::<T>().read_volatile() }
    }

    fn set<T: Copy>(&self, offset: usize, value: T) {
        // SAFETY: as above.
        unsafe { self.0.add(offset).cast::<T>().write_volatile(value) };
    }

    /// Why it came back.
    pub fn exit_reason(&self) -> u32 {
        self.get(8)
    }

    /// The address of an access, and whether it is a write.
    pub fn mmio(&self) -> (u64, bool) {
        (self.get(32), self.get::<u8>(52) != 0)
    }

    /// What is written.
    pub fn mmio_data(&self) -> u32 {
        match self.get::<u32>(48) {
            1 => self.get::<u8>(40).into(),
            2 => self.get::<u16>(40).into(),
            _ => self.get(40),
        }
    }

    /// What is read.
    pub fn set_mmio_data(&self, value: u32) {
        self.set(40, u64::from(value));
    }

    /// What an SBI call gives.
    pub fn set_sbi_result(&self, error: u64, value: u64) {
        self.set(96, error);
        self.set(104, value);
    }

    /// What a read of a CSR gives.
    pub fn set_csr_result(&self, value: u64) {
        self.set(56, value);
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fail("panic", 0)
}
