//! The model families: a folder each, and a line each in the list below.
//!
//! To add one: a folder that implements [`DiffusionModel`](crate::diffusion::DiffusionModel) and
//! [`ModelLoader`], its `mod` line, and its line in the list.
//!
//! Invariant: no module above this one names a family; a checkpoint is recognized by its files.

pub mod kandinsky21;
mod source;

use std::path::Path;
use std::sync::Arc;

use source::Family;
pub use source::{CheckpointSource, LoadOptions};

use crate::diffusion::ModelLoader;
use crate::tensor::error::{Error, Result};

/// The families that are tried, in order.
static FAMILIES: [Family; 1] = [kandinsky21::FAMILY];

/// The loader of the checkpoint in `source`, whatever its family.
pub fn open(source: &CheckpointSource, options: LoadOptions) -> Result<Arc<dyn ModelLoader>> {
    for family in &FAMILIES {
        if let Some(loader) = (family.recognize)(source, options)? {
            return Ok(loader);
        }
    }
    let layouts: Vec<&str> = FAMILIES.iter().map(|family| family.layout).collect();
    let found = match source {
        CheckpointSource::Folder(path) => found_in(path),
        _ => String::new(),
    };
    let what = format!("a checkpoint: {}{found}", layouts.join("; or "));
    Err(Error::MissingFile { path: source.to_string(), what })
}

/// What a folder has instead, for messages.
fn found_in(path: &Path) -> String {
    const MOST: usize = 8;
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    match names.len() {
        0 => "; the folder is empty".to_owned(),
        many if many > MOST => format!("; found {} and {} more", names[..MOST].join(", "), many - MOST),
        _ => format!("; found {}", names.join(", ")),
    }
}

/// [`open`] of a folder, with everything in it.
pub fn open_folder(path: &Path) -> Result<Arc<dyn ModelLoader>> {
    open(&CheckpointSource::Folder(path.to_owned()), LoadOptions::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_no_family_is_an_error_that_says_what_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let error = open_folder(folder.path()).err().unwrap().to_string();
        assert!(error.contains(&folder.path().display().to_string()) && error.contains("<name>-prior"), "{error}");
    }
}
