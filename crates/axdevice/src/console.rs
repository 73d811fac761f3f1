//! Where a guest's UART and the hypervisor's console meet.

use alloc::sync::Arc;

/// The hypervisor's side of an emulated UART.
pub trait ConsolePort: Send + Sync {
    /// Sets who is told when something happens. Once; later calls are ignored.
    fn attach(&self, hook: Arc<dyn ConsoleHook>);

    /// Takes what the guest has sent, in order, as much as fits in `buf`; returns how much. Bounded
    /// work under the device's lock: hand in small buffers where that matters.
    fn drain_output(&self, buf: &mut [u8]) -> usize;

    /// Offers the guest input; returns how many bytes were taken. The rest is for later: see
    /// [`ConsoleHook::input_wanted`].
    fn write_input(&self, data: &[u8]) -> usize;

    /// The guest sends through its firmware (SBI's debug console), past the registers: in the same
    /// queue as what its UART sends, and as infinitely fast, until that is full. Returns how many
    /// bytes were taken.
    fn firmware_send(&self, data: &[u8]) -> usize;

    /// The guest receives through its firmware: what waits for its UART, as much as fits in `buf`.
    /// Returns how much. That it asks means that it listens.
    fn firmware_receive(&self, buf: &mut [u8]) -> usize;

    /// Whether the guest looks at its input: it has set up the receiver, and takes receive
    /// interrupts or polls. Input that is not typed by somebody who watches should wait for it.
    fn guest_listens(&self) -> bool;
}

/// Called by an emulated UART, on the CPU of the vCPU that uses it, with interrupts masked and no
/// lock held. Must be short and not block: it wakes the console's task.
pub trait ConsoleHook: Send + Sync {
    /// There is output where there was none. More will follow: it is enough to take it in a
    /// moment.
    fn output_ready(&self);

    /// There is so much output that it should be taken at once.
    fn output_pressing(&self);

    /// The guest has begun to listen, or there is room again after input had been refused.
    fn input_wanted(&self);
}
