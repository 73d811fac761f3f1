//! Any bytes are a bundle or are refused; what is in it lies in it, and reading takes no heap.
#![no_main]

mod heap;

use axvmconfig::{
    bundle::{Bundle, MAX_ENTRIES, MAX_NAME},
    cli::write_archive,
};
use libfuzzer_sys::fuzz_target;

/// An archive's files, changes to its bytes, and what a description calls another file.
type Input<'a> = (Vec<(String, &'a [u8])>, Vec<(u16, u8)>, &'a str, &'a [u8]);

fuzz_target!(|input: Input| {
    let (files, changes, path, raw) = input;
    let files: Vec<_> = files
        .into_iter()
        .map(|(name, data)| (name, data.to_vec()))
        .collect();
    // An archive that is almost one gets further than bytes by chance.
    let Ok(mut archive) = write_archive(&files) else {
        return;
    };
    for (at, byte) in changes {
        if let Some(changed) = archive.get_mut(usize::from(at)) {
            *changed = byte;
        }
    }
    read(&archive, path);
    read(raw, path);
});

fn read(archive: &[u8], path: &str) {
    heap::bounded(0, || {
        let Ok(bundle) = Bundle::new(archive) else {
            return;
        };
        let inside = |part: &[u8]| {
            let bytes = archive.as_ptr_range();
            let part = part.as_ptr_range();
            assert!(bytes.start <= part.start && part.end <= bytes.end);
        };
        let mut count = 0;
        for entry in bundle.iter() {
            count += 1;
            inside(entry.data);
            inside(entry.name.as_bytes());
            assert!(entry.name.len() <= MAX_NAME && !entry.name.starts_with('/'));
            assert!(
                entry
                    .name
                    .split('/')
                    .all(|part| !["", ".", ".."].contains(&part))
            );
            // Names are unique, so that a file is itself.
            let found = bundle.resolve(entry.name, entry.name.rsplit('/').next().unwrap_or(""));
            assert!(found.is_some_and(|found| core::ptr::eq(found.data, entry.data)));
            if let Some(found) = bundle.resolve(entry.name, path) {
                inside(found.data);
            }
        }
        assert!(count <= MAX_ENTRIES);
        assert!(bundle.descriptions().count() <= count);
    });
}
