//! The host's side: long texts, printing, packing.
