//! The folders of a checkpoint: `<name>-prior`, `<name>`, `<name>-inpaint`, and the regression priors beside them.

use std::path::{Path, PathBuf};

use crate::families::source::CheckpointSource;
use crate::tensor::error::{Error, Result};
use crate::tensor::files::{Folder, Lookup};

/// What a folder with a checkpoint has.
pub(super) const LAYOUT: &str = "folders <name>-prior, <name> and <name>-inpaint";

/// Where the parts of a checkpoint are. Parts need not exist; what is missing turns off what needs it.
#[derive(Clone)]
pub struct Checkpoint {
    /// The name that requests use.
    pub name: String,
    pub prior: Folder,
    pub main: Folder,
    pub inpaint: Folder,
    pub linear_prior: Folder,
    pub residual_prior: Folder,
}

impl Checkpoint {
    /// The checkpoint of this family in `source`, if there is one. Several are an error.
    pub(super) fn of_source(source: &CheckpointSource) -> Result<Option<Self>> {
        match source {
            CheckpointSource::Folder(path) => Self::search(path),
            CheckpointSource::Embedded { name, lookup } => Ok(Some(Self::embedded(name, *lookup))),
            CheckpointSource::Repositories { name, prior, main, inpaint } => {
                Ok(Some(Self::from_folders(name, prior.clone(), main.clone(), inpaint.clone())))
            }
        }
    }

    /// Find the checkpoint in `path`: a folder that holds the three folders, or the main one of them.
    pub fn find(path: &Path) -> Result<Self> {
        Self::search(path)?
            .ok_or_else(|| Error::MissingFile { path: path.display().to_string(), what: LAYOUT.to_owned() })
    }

    fn search(path: &Path) -> Result<Option<Self>> {
        let missing = |what: String| Error::MissingFile { path: path.display().to_string(), what };
        if !path.is_dir() {
            return Err(missing("a folder with a checkpoint".to_owned()));
        }
        if path.join("unet").is_dir() || path.join("movq").is_dir() {
            // `.` and `..` have no name of their own until they are resolved.
            let resolved = path.canonicalize().map_err(|error| Error::io(path, error))?;
            let name = file_name(&resolved);
            let parent = resolved.parent().map(Path::to_path_buf).unwrap_or_default();
            return Ok(Some(Self::in_folder(&parent, &name)));
        }
        let mut names: Vec<String> = std::fs::read_dir(path)
            .map_err(|error| Error::io(path, error))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|folder| folder.join("unet").is_dir() || folder.join("movq").is_dir())
            .map(|folder| file_name(&folder))
            .map(|name| name.strip_suffix("-inpaint").map(str::to_owned).unwrap_or(name))
            .collect();
        names.sort();
        names.dedup();
        match names.as_slice() {
            [name] => Ok(Some(Self::in_folder(path, name))),
            [] => Ok(None),
            several => Err(missing(format!("one checkpoint, but there are several: {}", several.join(", ")))),
        }
    }

    fn in_folder(root: &Path, name: &str) -> Self {
        Self::of(name, |part| Folder::Disk(root.join(part)))
    }

    /// The checkpoint called `name` among the files that `lookup` knows.
    #[must_use]
    pub fn embedded(name: &str, lookup: Lookup) -> Self {
        Self::of(name, |part| Folder::Embedded { lookup, prefix: part.to_owned() })
    }

    fn of(name: &str, folder: impl Fn(&str) -> Folder) -> Self {
        Self {
            name: name.to_owned(),
            prior: folder(&format!("{name}-prior")),
            main: folder(name),
            inpaint: folder(&format!("{name}-inpaint")),
            linear_prior: folder("prior-linear"),
            residual_prior: folder("prior-residual"),
        }
    }

    /// A checkpoint whose three parts lie in folders of their own (as in a hub cache).
    #[must_use]
    pub fn from_folders(name: &str, prior: PathBuf, main: PathBuf, inpaint: Option<PathBuf>) -> Self {
        let beside = |part: &str| Folder::Disk(main.parent().map(|p| p.join(part)).unwrap_or_default());
        Self {
            name: name.to_owned(),
            prior: Folder::Disk(prior),
            linear_prior: beside("prior-linear"),
            residual_prior: beside("prior-residual"),
            inpaint: inpaint.map_or_else(|| beside("no-inpainting"), Folder::Disk),
            main: Folder::Disk(main),
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
