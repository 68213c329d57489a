//! The files of `src`, by module, without comments and tests where these would mislead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One file.
pub struct Source {
    /// From the project's root: `src/http/router.rs`.
    pub path: String,
    /// `http::router`.
    pub module: String,
    /// The module of the first level that it belongs to: `http`.
    pub room: String,
    pub text: String,
}

impl Source {
    /// The lines of code: no comments, and not the module of unit tests at the end.
    pub fn code(&self) -> impl Iterator<Item = &str> {
        code(&self.text)
    }
}

/// All of `src`, in the order of their paths.
pub fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    walk(&root.join("src"), &mut files);
    // A crate's own tests.
    files.retain(|file| !file.components().any(|part| part.as_os_str() == "tests"));
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            // The root of a crate of its own is the module of its folder.
            let module = path["src/".len()..].trim_end_matches(".rs").trim_end_matches("/lib").replace('/', "::");
            let room = module.split("::").next().unwrap().to_owned();
            Source { path, module, room, text: std::fs::read_to_string(file).unwrap() }
        })
        .collect()
}

/// The same by their modules.
pub fn by_module(sources: &[Source]) -> BTreeMap<&str, &Source> {
    sources.iter().map(|source| (source.module.as_str(), source)).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// See [`Source::code`].
pub fn code(text: &str) -> impl Iterator<Item = &str> {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}
