//! Lists the files of `web/`, which the binary serves: a new one is compiled in without being named anywhere.
//!
//! Invariant: nothing is changed on the way; what only the type checker and readers of the sources need stays out.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Extensions of files that pages do not load: types, words for people, settings of tools, tests.
const NOT_SERVED: [&str; 4] = ["ts", "md", "json", "mjs"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=web");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is")).join("web");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    let mut table = "&[".to_owned();
    for path in files {
        let name = path.strip_prefix(&root).expect("walked from the root").to_string_lossy().replace('\\', "/");
        let path = path.to_string_lossy();
        writeln!(table, "({name:?}, include_bytes!({path:?})),").expect("texts can be written to");
    }
    table.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write"));
    fs::write(out.join("web.rs"), table).expect("the folder for what is generated is writable");
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("web/ is readable") {
        let path = entry.expect("web/ is readable").path();
        if path.is_dir() {
            walk(&path, files);
        } else if !path.extension().is_some_and(|found| NOT_SERVED.iter().any(|known| found == *known)) {
            files.push(path);
        }
    }
}
