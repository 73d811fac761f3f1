//! Links the guest as all guests are linked.
include!("../support/link.rs");
