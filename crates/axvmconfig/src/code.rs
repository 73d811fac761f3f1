//! The one table of codes. `docs/config-errors.md` and `axvmconfig explain CODE` have the long
//! texts.

use core::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The VM can't run.
    Error,
    /// The VM runs, but perhaps not as meant.
    Warning,
}

macro_rules! codes {
    ($($name:ident = $number:literal, $sentence:literal;)*) => {
        /// What a diagnostic is about. Numbers stay what they are once published.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Code {
            $(#[doc = $sentence] $name = $number,)*
        }

        impl Code {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What is wrong, in one sentence without a full stop.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }
    };
}

codes! {
    Syntax = 1, "this is not TOML";
    TooLong = 2, "the file is too long";
    NewerFormat = 3, "this program doesn't know the file's format";
    TooDeep = 4, "keys or values are nested too deeply here";

    UnknownKey = 101, "unknown key";
    MissingKey = 102, "a key is missing here";
    WrongType = 103, "a value of the wrong type";
    BadNumber = 104, "not a number, an address or a size";
    UnknownName = 105, "unknown value";
    OutOfLimits = 106, "the number is outside its limits";
    WrongLength = 107, "the list has the wrong number of elements";
    BadName = 108, "names consist of letters, digits, `-`, `_` and `.`";
    BadPath = 109, "a path is not empty, relative to this file, and has no empty part";
    Conflict = 110, "two keys that exclude each other";
    MixedForms = 111, "this key doesn't exist in the form that the file's other keys belong to";

    NoPassthroughIrqs = 201, "interrupt mode passthrough is not offered";
    NoVirtio = 202, "virtio devices are not offered";
    NoIvc = 203, "inter-VM channels are not offered";
    NoIts = 204, "an interrupt translation service (ITS) is not offered";
    NoDummy = 205, "dummy devices are not offered";
    OtherArch = 206, "this device belongs to another architecture";
    NoFileSystem = 207, "images in a file system of the hypervisor are not offered";
    NoDisk = 208, "disks are not offered";
    NoFirmwareBoot = 209, "this boot protocol is not offered";
    NoPassAll = 210, "passing through the whole machine is not offered: it would hold the hypervisor itself";
    NoHostVm = 211, "host VMs are not offered";
    NoScheduling = 212, "this scheduling key is not offered yet";
    NoPolicy = 213, "this policy key is not offered yet";
    NoMemoryKind = 214, "device, uncached and user memory regions are not offered";

    CpuCount = 301, "the number of vCPUs is outside its limits";
    CpuIdsLength = 302, "phys_cpu_ids needs one element for each vCPU";
    CpuSetsLength = 303, "phys_cpu_sets needs one element for each vCPU";
    CpuIdTwice = 304, "two vCPUs with the same id";
    EmptyMask = 305, "an empty CPU mask: this vCPU could never run";
    BadAffinity = 306, "not an id that a CPU can have";

    Overflow = 401, "the range ends beyond the guest's address space";
    Misaligned = 402, "addresses and sizes here are multiples of the page size";
    EmptyRange = 403, "a range without bytes";
    RegionsOverlap = 404, "two memory regions overlap";
    NoMemory = 405, "the VM has no memory";
    EntryOutside = 406, "the entry point is not in executable memory";
    LoadOutside = 407, "the load address is not in the VM's memory";
    LoadMisaligned = 408, "this address is misaligned";
    NotReadable = 409, "memory that can't be read";
    RegionOverDevice = 410, "a memory region overlaps a device";
    NeedsAddress = 411, "identical and reserved regions need their address";
    AddressWithoutFile = 412, "a load address without the file it is for";
    FileWithoutAddress = 413, "a BIOS needs its load address";
    ImagesOverlap = 414, "two images overlap";
    ImageTooBig = 415, "the image doesn't fit into the VM's memory";

    DevicesOverlap = 501, "two devices overlap";
    IrqTwice = 502, "an interrupt is used twice";
    BadIrq = 503, "not the number of an interrupt line";
    IrqWithoutController = 504, "an interrupt in a VM without interrupt controller";
    DeviceSize = 505, "the device's registers have another size";
    DeviceTwice = 506, "the VM has this device already";
    DeviceConfig = 507, "numbers that this device doesn't take";
    DeviceMisaligned = 508, "the device's address is misaligned";
    ExcludedToo = 509, "the device is passed through and excluded";
    ControllerWithoutIrqs = 510, "an interrupt controller in a VM whose interrupt mode is none";
    BadDevicePath = 511, "not a path or alias of a device tree";

    VmIdTwice = 601, "another VM has this id";
    VmNameTwice = 602, "another VM has this name";
    MemoryShared = 603, "another VM has this host memory";
    DeviceShared = 604, "another VM has this device";
    IrqShared = 605, "another VM has this interrupt";
    FileMissing = 606, "the file can't be read";

    NoSuchCpu = 701, "the mask names CPUs that this machine has not";
    NotRam = 702, "an identical region outside the machine's free memory";
    HypervisorOwned = 703, "the range belongs to the hypervisor";
    NotReserved = 704, "a reserved region outside what the machine reserves";
    NoSuchDevice = 705, "this machine has no such device";
    DeviceOwned = 706, "the device belongs to the hypervisor";
    PageShared = 707, "another device has registers in the same page";
    DmaUnprotected = 708, "the device accesses memory on its own and there is no IOMMU to confine it";
    TooMuchMemory = 709, "the machine has not so much memory";
    PassedRam = 710, "a passed-through range holds memory";
    AddressTooWide = 711, "the address is wider than this machine translates";
    NoRegisters = 712, "the device has no registers that could be passed through";
    IrqOwned = 713, "the interrupt belongs to the hypervisor";

    FlagsCount = 901, "these access rights take effect here (older hypervisors ignored them)";
    IdentityCounts = 902, "the region is at exactly this address (older hypervisors moved it)";
    NoEffect = 903, "this key has no effect: only devices that are named are passed through";
}

/// Codes from here on are warnings.
const FIRST_WARNING: u16 = 900;

impl Code {
    /// Error or warning.
    pub const fn severity(self) -> Severity {
        if (self as u16) < FIRST_WARNING {
            Severity::Error
        } else {
            Severity::Warning
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.severity() {
            Severity::Error => 'E',
            Severity::Warning => 'W',
        };
        write!(f, "{letter}{:04}", *self as u16)
    }
}
