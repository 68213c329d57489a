//! From the path that an operator names to a checkpoint: a folder of folders, one of them, a combined pipeline's folder, or a
//! place in the hub's cache.
//!
//! Invariant: what is there decides, not what it is called; where several would do, or none, the message says what was found.

use std::path::{Path, PathBuf};

use super::checkpoint::{Checkpoint, LAYOUT, base_name, is_combined};
use super::hub_cache;
use crate::families::source::CheckpointSource;
use crate::tensor::error::{Error, Result};

/// What to do for those who have something else.
const PULL: &str =
    "this server draws Kandinsky 2.1 in diffusers' layout: kandinsky pull kandinsky-community/kandinsky-2-1";

/// Which part of a checkpoint a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Prior,
    /// With a UNet of text to image.
    Main,
    /// With a UNet that sees a masked image.
    Inpaint,
}

/// A folder with a part of a checkpoint.
struct Found {
    path: PathBuf,
    name: String,
    part: Part,
}

impl Checkpoint {
    /// The checkpoint of this family in `source`, if there is one. Several are an error.
    pub(super) fn of_source(source: &CheckpointSource) -> Result<Option<Self>> {
        match source {
            CheckpointSource::Folder(path) => search(path),
            CheckpointSource::Embedded { name, lookup } => Ok(Some(Self::embedded(name, *lookup))),
            CheckpointSource::Repositories { name, prior, main, inpaint } => {
                Ok(Some(Self::from_folders(name, prior.clone(), main.clone(), inpaint.clone())))
            }
        }
    }

    /// Find the checkpoint in `path`: a folder that holds the three folders, or one of them.
    pub fn find(path: &Path) -> Result<Self> {
        search(path)?.ok_or_else(|| missing(path, LAYOUT))
    }
}

/// The checkpoint at `path`; `None`: there is none of this family.
fn search(path: &Path) -> Result<Option<Checkpoint>> {
    if path.is_file() {
        return Err(Error::config(path.display().to_string(), format!("is a file, not a folder; {PULL}")));
    }
    if !path.is_dir() {
        return Err(missing(path, "a folder with a checkpoint"));
    }
    // `.` and `..` have no name of their own until they are resolved, and links may lead into the hub's cache.
    let resolved = path.canonicalize().map_err(|error| Error::io(path, error))?;
    if let Some(checkpoint) = hub_cache::find(&resolved) {
        for folder in [&checkpoint.prior, &checkpoint.main, &checkpoint.inpaint] {
            refuse_other_models(Path::new(&folder.name()))?;
        }
        return Ok(Some(checkpoint));
    }
    if let Some(part) = part_of(&resolved) {
        refuse_other_models(&resolved)?;
        let parent = resolved.parent().unwrap_or(&resolved).to_owned();
        let found = Found { name: file_name(&resolved), path: resolved, part };
        return Ok(Some(around(&parent, &found)));
    }
    search_within(path)
}

/// The checkpoint whose parts are folders of this one.
fn search_within(path: &Path) -> Result<Option<Checkpoint>> {
    let entries = std::fs::read_dir(path).map_err(|error| Error::io(path, error))?;
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    folders.sort();
    let found: Vec<Found> = folders
        .iter()
        .filter_map(|folder| Some(Found { part: part_of(folder)?, name: file_name(folder), path: folder.clone() }))
        .collect();
    for part in &found {
        refuse_other_models(&part.path)?;
    }
    let of = |part: Part| found.iter().filter(move |found| found.part == part).collect::<Vec<_>>();
    let mut names: Vec<&str> =
        found.iter().filter(|found| found.part != Part::Prior).map(|found| base_name(&found.name)).collect();
    names.sort_unstable();
    names.dedup();
    let (priors, mains, inpaints) = (of(Part::Prior), of(Part::Main), of(Part::Inpaint));
    let one_of_each = priors.len() <= 1 && mains.len() <= 1 && inpaints.len() <= 1;
    match names.as_slice() {
        [] if priors.is_empty() => other_files(path, &folders).map_or(Ok(None), Err),
        [] => {
            let names = listed(&priors);
            Err(missing(path, &format!("the decoder of a checkpoint; found only {names}, which is a prior; {PULL}")))
        }
        // What is in the folders says what they are, however they are called.
        _ if one_of_each => Ok(mains.first().or(inpaints.first()).map(|decoder| {
            let path_of = |found: &[&Found]| found.first().map(|found| found.path.clone());
            let mut checkpoint = Checkpoint::in_folder(path, base_name(&decoder.name));
            checkpoint.set_parts(path_of(&priors), path_of(&mains), path_of(&inpaints));
            if is_combined(&decoder.path) {
                checkpoint.set_combined(&decoder.path);
            }
            checkpoint
        })),
        [name] => Ok(Some(Checkpoint::in_folder(path, name))),
        _ => {
            let all: Vec<&Found> = found.iter().collect();
            let names = listed(&all);
            Err(missing(path, &format!("one checkpoint, but there are several: {names}; name the one that is meant")))
        }
    }
}

/// The checkpoint that a folder with a part of it belongs to.
fn around(parent: &Path, found: &Found) -> Checkpoint {
    let mut checkpoint = Checkpoint::in_folder(parent, base_name(&found.name));
    let own = Some(found.path.clone());
    match found.part {
        Part::Prior => checkpoint.set_parts(own, None, None),
        Part::Main => checkpoint.set_parts(None, own, None),
        Part::Inpaint => checkpoint.set_parts(None, None, own),
    }
    if is_combined(&found.path) {
        checkpoint.set_combined(&found.path);
    }
    checkpoint
}

fn part_of(folder: &Path) -> Option<Part> {
    let has = |part: &str| folder.join(part).is_dir();
    if has("unet") || has("movq") {
        let masks = read_json(&folder.join("unet/config.json")).is_some_and(|config| config["in_channels"] == 9);
        return Some(if masks { Part::Inpaint } else { Part::Main });
    }
    (has("prior") && (has("text_encoder") || has("image_encoder"))).then_some(Part::Prior)
}

/// An error if a folder says that it holds a part of another model.
fn refuse_other_models(folder: &Path) -> Result<()> {
    let class = read_json(&folder.join("model_index.json"))
        .and_then(|index| index["_class_name"].as_str().map(str::to_owned))
        .unwrap_or_default();
    let unet = read_json(&folder.join("unet/config.json")).unwrap_or_default();
    let what = if class.starts_with("KandinskyV22") || unet["encoder_hid_dim_type"] == "image_proj" {
        "Kandinsky 2.2"
    } else if class.starts_with("Kandinsky3") {
        "Kandinsky 3"
    } else if !class.is_empty() && !class.starts_with("Kandinsky") && class != "DiffusionPipeline" {
        &class.chars().take(60).collect::<String>()
    } else {
        return Ok(());
    };
    Err(Error::config(folder.display().to_string(), format!("is a checkpoint of {what}; {PULL}")))
}

/// The error of a folder that has the weights in another layout.
fn other_files(path: &Path, folders: &[PathBuf]) -> Option<Error> {
    const OTHER: [&str; 4] = ["ckpt", "pt", "pth", "safetensors"];
    let inside = folders.iter().filter(|folder| folder.is_dir()).filter_map(|folder| std::fs::read_dir(folder).ok());
    let inside = inside.flat_map(|entries| entries.flatten().map(|entry| entry.path()));
    let is_other =
        |file: &PathBuf| file.extension().is_some_and(|extension| OTHER.iter().any(|other| extension == *other));
    let mut files: Vec<PathBuf> = folders.iter().cloned().chain(inside).filter(is_other).collect();
    files.sort();
    let file = files.first()?.strip_prefix(path).ok()?.display().to_string();
    Some(missing(path, &format!("folders of a checkpoint; found {file}, a file in another layout; {PULL}")))
}

fn listed(found: &[&Found]) -> String {
    let one = |found: &&Found| {
        let what = match found.part {
            Part::Prior => "prior",
            Part::Main => "decoder",
            Part::Inpaint => "inpaint",
        };
        format!("{} ({what})", found.name)
    };
    found.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn read_json(file: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

fn missing(path: &Path, what: &str) -> Error {
    Error::MissingFile { path: path.display().to_string(), what: what.to_owned() }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
