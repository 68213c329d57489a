//! Plays the corpora of the fuzzers: seeds, and inputs that once broke something.

use std::path::Path;

#[path = "../fuzz/targets.rs"]
mod targets;

#[test]
fn nothing_that_was_ever_found_breaks_anything_again() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let folder = corpora.join(name);
        let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "no corpus for {name}");
        for file in files {
            println!("{}", file.display());
            target(&std::fs::read(file).unwrap());
        }
    }
}
