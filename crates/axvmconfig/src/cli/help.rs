//! The long texts: for each code why it is refused, what to write instead, and an example.

use crate::Code;

/// The long text of a code.
#[derive(Clone, Copy, Debug)]
pub struct Help {
    /// Why.
    pub note: &'static str,
    /// What to write instead.
    pub fix: &'static str,
    /// An example of the mistake; may be empty.
    pub wrong: &'static str,
    /// The example put right; may be empty.
    pub right: &'static str,
}

macro_rules! helps {
    ($($code:ident: $note:literal, $fix:literal, $wrong:literal => $right:literal;)*) => {
        /// The long text of `code`.
        pub fn help(code: Code) -> Help {
            match code {
                $(Code::$code => Help {
                    note: $note,
                    fix: $fix,
                    wrong: $wrong,
                    right: $right,
                },)*
            }
        }
    };
}

helps! {
    Syntax: "descriptions are TOML 1.1.",
        "Correct the spelling of the line; text needs quotes, a key is set once.",
        "name = linux" => "name = \"linux\"";
    TooLong: "a description has at most 32 KiB.",
        "Is this a description at all? Images are separate files.",
        "" => "";
    NewerFormat: "this program knows format 1 only, and doesn't guess what a newer one means.",
        "Use a newer hypervisor and `axvmconfig`, or write the file in format 1.",
        "format = 2" => "format = 1";
    TooDeep: "no key takes lists or tables that deep; reading them would take more stack than the hypervisor has.",
        "Close the brackets that are open.",
        "memory_regions = [[[[[[[[[0x4000_0000]]]]]]]]]"
            => "memory_regions = [{ gpa = 0x4000_0000, size = \"64MiB\" }]";
    UnknownKey: "a key that nobody reads would do nothing, and nobody would notice.",
        "Correct its spelling or remove it; `docs/config-reference.md` lists all keys.",
        "[base]\nid = 1\ncpu_nums = 2" => "[base]\nid = 1\ncpu_num = 2";
    MissingKey: "there is no sensible default for it.",
        "Add the key.",
        "[kernel]\nmemory_regions = [{ gpa = 0x4000_0000 }]"
            => "[kernel]\nmemory_regions = [{ gpa = 0x4000_0000, size = \"64MiB\" }]";
    WrongType: "the value has another TOML type than this key takes.",
        "Write a value of the type named above.",
        "cpu_num = true" => "cpu_num = 2";
    BadNumber: "numbers are not negative and fit in 64 bits; units are powers of 1024.",
        "Write for example 4096, 0x4000_0000, \"64KiB\" or \"512MiB\".",
        "size = \"512MB\"" => "size = \"512MiB\"";
    UnknownName: "this key takes certain words only.",
        "Write one of the words in `docs/config-reference.md`.",
        "interrupt_mode = \"emulate\"" => "interrupt_mode = \"emulated\"";
    OutOfLimits: "the value would be cut off or is more than there can be.",
        "Choose a value inside the limits.",
        "id = 64" => "id = 1";
    WrongLength: "the elements of a list mean something by their position.",
        "Write all elements, or a table with names instead.",
        "memory_regions = [[0x4000_0000, \"64MiB\"]]"
            => "memory_regions = [{ gpa = 0x4000_0000, size = \"64MiB\" }]";
    BadName: "names appear in commands and as prefixes of console lines; they have 1 to 64 characters.",
        "Use letters, digits, `-`, `_` and `.` only; for devices also `@`, `,` and `+`, as in device trees.",
        "name = \"my vm\"" => "name = \"my-vm\"";
    BadPath: "images travel with the description in a bundle, where only relative paths mean something.",
        "Write the path from this file's folder.",
        "kernel_path = \"/images/Image\"" => "kernel_path = \"../images/Image\"";
    Conflict: "both can't be true.",
        "Remove one of the two.",
        "passthrough_devices = [{ path = \"/pl031@9010000\", length = 0x1000 }]"
            => "passthrough_devices = [{ path = \"/pl031@9010000\" }]";
    MixedForms: "`guest_type`, `passthrough`, `disabled` and `virtual` belong to the 0.8 form, which has no classic device keys.",
        "Write the file in one form; `axvmconfig convert` rewrites one of today's.",
        "[devices]\npassthrough = [{ path = \"/pl031@9010000\" }]\ninterrupt_mode = \"emulated\""
            => "[devices]\npassthrough_devices = [{ path = \"/pl031@9010000\" }]\ninterrupt_mode = \"emulated\"";
    NoPassthroughIrqs: "a guest that owns the physical interrupt controller can take interrupts from the hypervisor and from other VMs.",
        "Write \"emulated\": interrupts of passed-through devices are delivered there too.",
        "interrupt_mode = \"passthrough\"" => "interrupt_mode = \"emulated\"";
    NoVirtio: "this hypervisor has no virtio devices yet.",
        "Remove the device; a disk's content can go into the ramdisk.",
        "emu_devices = [[\"disk\", 0x0a00_0000, 0x1000, 16, 0xe1, []]]" => "emu_devices = []";
    NoIvc: "this hypervisor has no channels between VMs yet.",
        "Remove the device.",
        "emu_devices = [[\"ivc\", 0x0a00_0000, 0x1000, 0, 0xa, []]]" => "emu_devices = []";
    NoIts: "guests get no message-signalled interrupts yet.",
        "Remove the device; guests find a GICv3 without ITS.",
        "emu_devices = [[\"its\", 0x0808_0000, 0x2_0000, 0, 0x22, []]]" => "emu_devices = []";
    NoDummy: "a device that does nothing hides a guest's mistakes.",
        "Remove the device: accesses where nothing is end in an abort the guest can see.",
        "emu_devices = [[\"dummy\", 0x0a00_0000, 0x1000, 0, 0, []]]" => "emu_devices = []";
    OtherArch: "a GIC is aarch64's interrupt controller, a PLIC is riscv64's.",
        "Remove the device: the right controller is there without a word. Or is the file for another architecture? `--arch` says which.",
        "emu_devices = [[\"plic\", 0x0c00_0000, 0x1000, 0, 0x30, []]]" => "emu_devices = []";
    NoFileSystem: "the hypervisor reads no file systems: images come in the boot bundle.",
        "Write \"memory\" or leave the key out, and let `kernel_path` name a file beside this one.",
        "image_location = \"fs\"" => "image_location = \"memory\"";
    NoDisk: "this hypervisor has no disks yet.",
        "Remove the key; put the content into the ramdisk.",
        "disk_path = \"disk.img\"" => "";
    NoFirmwareBoot: "guests start directly: kernel, ramdisk and device tree are loaded by the hypervisor.",
        "Write \"direct\" or leave the key out.",
        "boot_protocol = \"uefi\"" => "boot_protocol = \"direct\"";
    NoPassAll: "the whole machine includes the hypervisor's memory and devices and those of other VMs: such a guest can take over the machine.",
        "Name each device it needs: `passthrough_devices = [{ path = \"/pl031@9010000\" }]`, and give it memory by `memory_regions`.",
        "passthrough_devices = [[\"/\"]]" => "passthrough_devices = [[\"/pl031@9010000\"]]";
    NoHostVm: "no VM is privileged here.",
        "Write \"linux\" or \"rtos\": a label for people.",
        "vm_type = 0" => "vm_type = \"linux\"";
    NoScheduling: "vCPUs share their CPUs in turn; other policies come with a later version.",
        "Remove the key; `phys_cpu_sets` keeps VMs on CPUs of their own.",
        "exclusive = true" => "phys_cpu_sets = [0b10]";
    NoPolicy: "a shutdown or fault ends the VM, a reset restarts it; other policies come with a later version.",
        "Remove the key.",
        "on_fault = \"restart\"" => "";
    NoMemoryKind: "regions are normal memory; device registers belong into `passthrough_devices`.",
        "Use read (1), write (2) and execute (4) only.",
        "memory_regions = [[0x4000_0000, 0x100_0000, 0x17, 0]]"
            => "memory_regions = [[0x4000_0000, 0x100_0000, 0x7, 0]]";
    CpuCount: "a VM has 1 to 8 vCPUs.",
        "Choose a number from 1 to 8.",
        "cpu_num = 0" => "cpu_num = 1";
    CpuIdsLength: "element n is the id by which the guest knows vCPU n: the affinity in MPIDR_EL1, or the hart id.",
        "Write as many elements as `cpu_num` says.",
        "cpu_num = 2\nphys_cpu_ids = [0]" => "cpu_num = 2\nphys_cpu_ids = [0, 1]";
    CpuSetsLength: "element n says on which physical CPUs vCPU n may run.",
        "Write as many elements as `cpu_num` says.",
        "cpu_num = 2\nphys_cpu_sets = [1]" => "cpu_num = 2\nphys_cpu_sets = [1, 2]";
    CpuIdTwice: "the guest tells its CPUs apart by these ids, and addresses interrupts by them.",
        "Give each vCPU an id of its own.",
        "cpu_num = 2\nphys_cpu_ids = [1, 1]" => "cpu_num = 2\nphys_cpu_ids = [0, 1]";
    EmptyMask: "a mask is a set of physical CPUs: bit n is CPU n.",
        "Set at least one bit; leave `phys_cpu_sets` out to allow all CPUs.",
        "phys_cpu_sets = [0]" => "phys_cpu_sets = [1]";
    BadAffinity: "on riscv64 the value is a hart id of at most 32 bits. On aarch64 it is read in MPIDR_EL1: Aff0 in bits 0 to 7 (at most 15, or interrupts between CPUs could not reach it), Aff1 in 8 to 15, Aff2 in 16 to 23, Aff3 in 32 to 39.",
        "Use 0, 1, 2..., or 0x000, 0x100, 0x200...",
        "phys_cpu_ids = [16]" => "phys_cpu_ids = [0x100]";
    Overflow: "guest addresses have at most 48 bits.",
        "Choose a lower address or a smaller size.",
        "memory_regions = [{ gpa = 0xffff_ffff_f000, size = \"1MiB\" }]"
            => "memory_regions = [{ gpa = 0x4000_0000, size = \"1MiB\" }]";
    Misaligned: "memory is mapped in pages of 4 KiB.",
        "Use multiples of 4096 (0x1000).",
        "memory_regions = [{ size = 1000 }]" => "memory_regions = [{ size = \"4KiB\" }]";
    EmptyRange: "a range without bytes is surely a mistake.",
        "Give it a size, or remove it.",
        "memory_regions = [{ size = 0 }]" => "memory_regions = [{ size = \"16MiB\" }]";
    RegionsOverlap: "an address can't mean two things.",
        "Move or shrink one of them; without `gpa` a free place is found.",
        "memory_regions = [\n  { gpa = 0x4000_0000, size = \"64MiB\" },\n  { gpa = 0x4200_0000, size = \"64MiB\" },\n]"
            => "memory_regions = [\n  { gpa = 0x4000_0000, size = \"64MiB\" },\n  { gpa = 0x4400_0000, size = \"64MiB\" },\n]";
    NoMemory: "a guest needs memory to run in.",
        "Add a region, for example `memory_regions = [{ size = \"64MiB\" }]`.",
        "memory_regions = []" => "memory_regions = [{ size = \"64MiB\" }]";
    EntryOutside: "the first instruction would end in a fault.",
        "Point into a region whose flags have `x`, or leave the key out.",
        "entry_point = 0x8000_0000\nmemory_regions = [{ gpa = 0x4000_0000, size = \"64MiB\" }]"
            => "entry_point = 0x4000_0000\nmemory_regions = [{ gpa = 0x4000_0000, size = \"64MiB\" }]";
    LoadOutside: "images are copied into the VM's memory.",
        "Choose an address inside a memory region, or leave the key out.",
        "kernel_load_addr = 0x20_0000\nmemory_regions = [{ gpa = 0x4000_0000, size = \"64MiB\" }]"
            => "kernel_load_addr = 0x4020_0000\nmemory_regions = [{ gpa = 0x4000_0000, size = \"64MiB\" }]";
    LoadMisaligned: "instructions are aligned to 4 bytes (on riscv64 to 2), device trees to 8.",
        "Use a multiple of the number named above, or leave the key out.",
        "dtb_load_addr = 0x4400_0004" => "dtb_load_addr = 0x4400_0000";
    NotReadable: "memory that may be written or executed but not read is of no use to a guest.",
        "Add `r` (or 1).",
        "flags = \"wx\"" => "flags = \"rwx\"";
    RegionOverDevice: "an address can't be memory and a device's register.",
        "Move one of them; devices lie below, memory from 0x4000_0000 on (riscv64: 0x8000_0000).",
        "memory_regions = [{ gpa = 0x0900_0000, size = \"64MiB\" }]"
            => "memory_regions = [{ gpa = 0x4000_0000, size = \"64MiB\" }]";
    NeedsAddress: "guest and host address are the same there, so it can't be left to chance.",
        "Add `gpa`.",
        "memory_regions = [{ size = \"64MiB\", map_type = \"identical\" }]"
            => "memory_regions = [{ gpa = 0x8000_0000, size = \"64MiB\", map_type = \"identical\" }]";
    AddressWithoutFile: "there is nothing to load there.",
        "Add the file's key, or remove the address.",
        "ramdisk_load_addr = 0x4400_0000"
            => "ramdisk_path = \"initramfs.cpio.gz\"\nramdisk_load_addr = 0x4400_0000";
    FileWithoutAddress: "a BIOS is a raw image: it doesn't say where it belongs.",
        "Add `bios_load_addr`.",
        "bios_path = \"bios.bin\"" => "bios_path = \"bios.bin\"\nbios_load_addr = 0x4000_0000";
    ImagesOverlap: "the second would overwrite the first.",
        "Move one of them, or leave its address out: then a free place is found.",
        "kernel_load_addr = 0x4000_0000\ndtb_load_addr = 0x4000_0000" => "kernel_load_addr = 0x4000_0000";
    ImageTooBig: "the image, loaded there, ends outside the memory region.",
        "Give the VM more memory, or load the image elsewhere.",
        "" => "";
    DevicesOverlap: "an address can't be a register of two devices.",
        "Move one of them; the default devices are at 0x0800_0000 (GICD), 0x080a_0000 (GICR) and 0x0900_0000 (console), on riscv64 at 0x0c00_0000 (PLIC) and 0x1000_0000 (console).",
        "emu_devices = [{ type = \"console\", base_gpa = 0x0800_0000 }]"
            => "emu_devices = [{ type = \"console\", base_gpa = 0x0900_0000 }]";
    IrqTwice: "the guest could not tell who interrupts it.",
        "Give each device an interrupt of its own.",
        "emu_devices = [\n  { type = \"console\", irq_id = 1 },\n  { type = \"console\", base_gpa = 0x0901_0000, irq_id = 1 },\n]"
            => "emu_devices = [\n  { type = \"console\", irq_id = 1 },\n  { type = \"console\", base_gpa = 0x0901_0000, irq_id = 2 },\n]";
    BadIrq: "on aarch64 devices use shared peripheral interrupts, counted from 0 to 987 as in device trees: INTID minus 32; on riscv64 sources of the PLIC, 1 to 1023.",
        "Write the number that the device tree has; 0 means none, on aarch64 \"spi0\" is number 0.",
        "irq_id = 1019" => "irq_id = 33";
    IrqWithoutController: "with `interrupt_mode = \"none\"` nobody delivers interrupts.",
        "Write `interrupt_mode = \"emulated\"`, or `irq_id = \"none\"`.",
        "interrupt_mode = \"none\"\nemu_devices = [{ type = \"console\", irq_id = 1 }]"
            => "interrupt_mode = \"emulated\"\nemu_devices = [{ type = \"console\", irq_id = 1 }]";
    DeviceSize: "how many registers the device has is no choice.",
        "Write the size named above, or leave the key out.",
        "emu_devices = [{ type = \"console\", length = 0x100 }]" => "emu_devices = [{ type = \"console\" }]";
    DeviceTwice: "a VM has one interrupt controller.",
        "Remove one of the two.",
        "emu_devices = [{ type = \"gicd\" }, { type = \"gicd\", base_gpa = 0x0a00_0000 }]"
            => "emu_devices = [{ type = \"gicd\" }]";
    DeviceConfig: "the numbers would be ignored, or say something that isn't so.",
        "Write an empty list; for redistributors also the number of vCPUs, 0x20000, 0; for a PLIC also the number of its contexts, two for each vCPU.",
        "emu_devices = [[\"gicr\", 0x080a_0000, 0x2_0000, 0, 0x20, [4, 0x2_0000, 0]]]"
            => "emu_devices = [[\"gicr\", 0x080a_0000, 0x2_0000, 0, 0x20, [1, 0x2_0000, 0]]]";
    DeviceMisaligned: "drivers find registers by the device's frames: 64 KiB for a GIC, 4 KiB for others.",
        "Use a multiple of the number named above.",
        "emu_devices = [{ type = \"gicd\", base_gpa = 0x0800_1000 }]"
            => "emu_devices = [{ type = \"gicd\", base_gpa = 0x0800_0000 }]";
    ExcludedToo: "both can't be meant.",
        "Remove it from one of the lists.",
        "passthrough_devices = [[\"/pl031@9010000\"]]\nexcluded_devices = [[\"/pl031@9010000\"]]"
            => "passthrough_devices = [[\"/pl031@9010000\"]]";
    ControllerWithoutIrqs: "with `interrupt_mode = \"none\"` the VM has no interrupt controller.",
        "Write `interrupt_mode = \"emulated\"`, or remove the device.",
        "interrupt_mode = \"none\"\nemu_devices = [{ type = \"gicd\" }]" => "emu_devices = [{ type = \"gicd\" }]";
    BadDevicePath: "a path is like `/soc/serial@9000000`, an alias like `serial1`.",
        "Write the path as the board's device tree has it.",
        "passthrough_devices = [{ path = \"/soc//uart\" }]" => "passthrough_devices = [{ path = \"/soc/uart@9000000\" }]";
    VmIdTwice: "VMs that run together are told apart by their ids.",
        "Choose another id for one of them.",
        "" => "";
    VmNameTwice: "VMs that run together are told apart by their names.",
        "Choose another name for one of them.",
        "" => "";
    MemoryShared: "the same host memory would belong to two VMs.",
        "Move one of the regions, or use `map_type = \"alloc\"`.",
        "" => "";
    DeviceShared: "a physical device has one user.",
        "Remove it from one of the VMs.",
        "" => "";
    IrqShared: "a physical interrupt goes to one VM.",
        "Correct the number in one of the VMs.",
        "" => "";
    FileMissing: "the description names it, so the VM can't start without it.",
        "Build or fetch it first; paths are relative to the description.",
        "" => "";
    NoSuchCpu: "bit n of a mask is physical CPU n, counted from 0.",
        "Name CPUs the machine has.",
        "" => "";
    NotRam: "an identical region takes the machine's memory at that very address.",
        "Choose a range inside the machine's RAM, or use `map_type = \"alloc\"`.",
        "" => "";
    HypervisorOwned: "the guest could change the hypervisor.",
        "Choose another range.",
        "" => "";
    NotReserved: "reserved regions must lie in one range that the board's device tree reserves.",
        "Reserve the range there, or use `map_type = \"alloc\"`.",
        "" => "";
    NoSuchDevice: "the board's device tree has no device with this path, alias or registers.",
        "Look the device up in the board's device tree.",
        "" => "";
    DeviceOwned: "the hypervisor needs its interrupt controller, console, timer and IOMMU itself.",
        "Use an emulated device.",
        "" => "";
    PageShared: "memory is protected in pages of 4 KiB: the guest would have the other device too.",
        "A device that shares its page can't be passed through.",
        "" => "";
    DmaUnprotected: "a device that reads and writes memory on its own can reach all of it, the hypervisor's included.",
        "If the guest is trusted with the whole machine, say so: `dma = \"unprotected\"`.",
        "passthrough_devices = [{ path = \"/ethernet@a000000\" }]"
            => "passthrough_devices = [{ path = \"/ethernet@a000000\", dma = \"unprotected\" }]";
    TooMuchMemory: "the machine has less memory than the VM asks for, or than the VMs before it leave.",
        "Give the VM less, or the machine more.",
        "" => "";
    PassedRam: "memory is given to VMs by `memory_regions`, where it has an owner.",
        "Use a region with `map_type = \"identical\"` or `\"reserved\"`.",
        "" => "";
    AddressTooWide: "the processor's second stage of translation has fewer address bits.",
        "Choose a lower address.",
        "" => "";
    NoRegisters: "a device without memory-mapped registers can't be mapped.",
        "Name the device, not the bus or group it belongs to.",
        "" => "";
    IrqOwned: "the hypervisor uses this interrupt itself.",
        "Correct the number: INTID - 32, on riscv64 the PLIC's source.",
        "" => "";
    FlagsCount: "AxVisor gave guests every right, whatever the flags said.",
        "If the guest needs more, add it: read 1, write 2, execute 4. Flags as text (\"rwx\") are not warned about.",
        "flags = 3" => "flags = \"rw\"";
    IdentityCounts: "AxVisor took memory anywhere and moved the guest there.",
        "Make sure that the machine has free memory there, or use \"alloc\". `map_type = \"identical\"` is not warned about.",
        "memory_regions = [[0x8000_0000, 0x100_0000, 7, 1]]" => "memory_regions = [[0x8000_0000, 0x100_0000, 7, 0]]";
    NoEffect: "only named devices are passed through, so nothing needs to be excluded.",
        "Remove the key.",
        "excluded_devices = [[\"/pl011@9000000\"]]" => "";
}
