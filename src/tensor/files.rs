//! Where a checkpoint's files come from: a folder on disk, memory-mapped, or files inside the binary.
//!
//! Invariant: file contents are never copied to the heap here. A mapped file must not be truncated while the server
//! runs (replace it by renaming, as every package manager and the hub cache do).

use std::borrow::Cow;
use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::{Error, Result};

/// The contents of a file.
pub enum Contents {
    Mapped(Mmap),
    Static(&'static [u8]),
    Empty,
}

impl Deref for Contents {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Static(bytes) => bytes,
            Self::Empty => &[],
        }
    }
}

/// Looks up a file of an embedded checkpoint by its path with forward slashes.
pub type Lookup = fn(&str) -> Option<Cow<'static, [u8]>>;

/// A folder of checkpoint files.
#[derive(Clone)]
pub enum Folder {
    Disk(PathBuf),
    /// Inside the binary, below a prefix (without a trailing slash).
    Embedded {
        lookup: Lookup,
        prefix: String,
    },
}

impl Folder {
    /// A sub-folder, which need not exist.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::Disk(path) => Self::Disk(path.join(name)),
            Self::Embedded { lookup, prefix } => Self::Embedded {
                lookup: *lookup,
                prefix: if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") },
            },
        }
    }

    /// Name of a file in this folder, for messages.
    #[must_use]
    pub fn name_of(&self, file: &str) -> String {
        match self {
            Self::Disk(path) => path.join(file).display().to_string(),
            Self::Embedded { prefix, .. } => format!("embedded:{prefix}/{file}"),
        }
    }

    /// Name of the folder itself, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Disk(path) => path.display().to_string(),
            Self::Embedded { prefix, .. } => format!("embedded:{prefix}"),
        }
    }

    /// Whether `file` is there.
    #[must_use]
    pub fn has(&self, file: &str) -> bool {
        match self {
            Self::Disk(path) => path.join(file).is_file(),
            Self::Embedded { lookup, prefix } => lookup(&format!("{prefix}/{file}")).is_some(),
        }
    }

    /// Open `file`, or `None` if it is not there.
    pub fn open(&self, file: &str) -> Result<Option<Contents>> {
        match self {
            Self::Disk(path) => map(&path.join(file)),
            Self::Embedded { lookup, prefix } => Ok(lookup(&format!("{prefix}/{file}")).map(|bytes| match bytes {
                Cow::Borrowed(bytes) => Contents::Static(bytes),
                // Debug builds read the file anew on every look-up; models are kept until the end anyway.
                Cow::Owned(bytes) => Contents::Static(Vec::leak(bytes)),
            })),
        }
    }

    /// Open `file`, which must be there because of `what`.
    pub fn require(&self, file: &str, what: &str) -> Result<Contents> {
        let missing = || Error::MissingFile { path: self.name_of(file), what: what.to_owned() };
        let contents = self.open(file)?.ok_or_else(missing)?;
        match stand_in(&contents) {
            Some(found) => Err(Error::StandIn { path: self.name_of(file), found }),
            None => Ok(contents),
        }
    }

    /// The names of all files in the folder on disk, in order.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let Self::Disk(path) = self else { return Vec::new() };
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten().filter(|entry| entry.path().is_file());
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Read a JSON file.
    pub fn json<T: serde::de::DeserializeOwned>(&self, file: &str, what: &str) -> Result<T> {
        let contents = self.require(file, what)?;
        serde_json::from_slice(&contents).map_err(|error| Error::config(self.name_of(file), error.to_string()))
    }
}

/// What a file is that was left in place of another one by a download that went wrong.
fn stand_in(contents: &[u8]) -> Option<&'static str> {
    /// No longer than what stands for a file.
    const SHORT: usize = 1024;
    let start = &contents[..contents.len().min(SHORT)];
    let text = String::from_utf8_lossy(start).trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let is_short = contents.len() < SHORT;
    if text.starts_with("version https://git-lfs") || text.starts_with("version https://hawser") {
        Some(
            "a Git LFS pointer, not the file itself: fetch it with git lfs pull, or the checkpoint with kandinsky pull",
        )
    } else if ["<!doctype", "<html", "<head", "<?xml"].iter().any(|tag| text.starts_with(tag)) {
        Some(
            "a web page, not the file itself: the download was answered with a page; fetch it again with kandinsky pull",
        )
    } else if is_short
        && ["entry not found", "not found", "invalid username", "invalid credentials", "access to model", "{\"error\""]
            .iter()
            .any(|said| text.starts_with(said))
    {
        Some("a server's error message, not the file itself: fetch it again with kandinsky pull")
    } else if is_short && text.starts_with("../") && text.contains("blobs/") {
        Some("the path of a file in a hub cache, not the file itself: the cache was copied without its links")
    } else {
        None
    }
}

fn map(path: &Path) -> Result<Option<Contents>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path, error)),
    };
    let metadata = file.metadata().map_err(|error| Error::io(path, error))?;
    if metadata.is_dir() {
        return Ok(None);
    }
    if metadata.len() == 0 {
        return Ok(Some(Contents::Empty));
    }
    // SAFETY: the mapping is private and read-only; that the file is not truncated is this module's stated invariant.
    let map = unsafe { Mmap::map(&file) }.map_err(|error| Error::io(path, error))?;
    Ok(Some(Contents::Mapped(map)))
}
