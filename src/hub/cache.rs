//! The standard hub cache on disk, `models--owner--name/{blobs,refs,snapshots}`, as python's `huggingface_hub` has it.
//!
//! Invariant: blobs and refs appear under their final names by a rename only, complete or not at all.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::digest::Digest;
use super::error::HubError;
use super::repo_id::RepoId;
use super::select::{MODEL_INDEX, missing_for_translator, select, select_translator};
use crate::tensor::weight_files::Precision;

const REF: &str = "main";
/// How often to look whether another process has finished with a blob.
const LOCK_POLL: Duration = Duration::from_millis(250);

/// One repository's folder in the cache.
#[derive(Debug)]
pub(super) struct RepoCache {
    root: PathBuf,
    locks: PathBuf,
}

/// Why there is no usable snapshot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Absence {
    NotCached,
    /// Names what is missing.
    Incomplete(String),
}

impl RepoCache {
    pub(super) fn new(cache: &Path, repo: &RepoId) -> Self {
        let folder = repo.parts().fold("models".to_owned(), |name, part| format!("{name}--{part}"));
        Self { root: cache.join(&folder), locks: cache.join(".locks").join(folder) }
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.hex())
    }

    pub(super) fn partial(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(format!("{}.incomplete", digest.hex()))
    }

    /// Whether the snapshot has the file, by name and size.
    pub(super) fn has_file(&self, commit: &str, path: &str, size: u64) -> bool {
        has_size(&self.pointer(commit, path), size)
    }

    /// Whether the blob is there, by name and size.
    pub(super) fn has_blob(&self, digest: &Digest, size: u64) -> bool {
        has_size(&self.blob(digest), size)
    }

    fn pointer(&self, commit: &str, path: &str) -> PathBuf {
        self.root.join("snapshots").join(commit).join(path)
    }

    /// Puts the blob into the snapshot under its name.
    pub(super) fn link(&self, commit: &str, path: &str, digest: &Digest) -> Result<(), HubError> {
        let pointer = self.pointer(commit, path);
        create_parent(&pointer)?;
        match fs::remove_file(&pointer) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(HubError::io("replace", &pointer)(error));
            }
            _ => {}
        }
        // From snapshots/COMMIT/ or below, up to the repository's folder. Relative, so that a cache can be moved.
        let up = "../".repeat(2 + path.matches('/').count());
        let blob = self.blob(digest);
        symlink(&format!("{up}blobs/{}", digest.hex()), &pointer)
            // Some mounts know no symlinks. There python moves the blob, too.
            .or_else(|_| fs::hard_link(&blob, &pointer))
            .or_else(|_| fs::rename(&blob, &pointer))
            .map_err(HubError::io("create", &pointer))
    }

    /// Makes `commit` the one that `main` stands for.
    pub(super) fn write_ref(&self, commit: &str) -> Result<(), HubError> {
        let path = self.root.join("refs").join(REF);
        if fs::read_to_string(&path).is_ok_and(|old| old == commit) {
            return Ok(());
        }
        create_parent(&path)?;
        let fresh = path.with_file_name(format!("{REF}.{}.tmp", std::process::id()));
        fs::write(&fresh, commit).and_then(|()| fs::rename(&fresh, &path)).map_err(HubError::io("write", &path))
    }

    /// Keeps other processes, python among them, from fetching the same blob. Held until the file is dropped. `None`
    /// where the file system has no locks: the checksum still guards the result.
    pub(super) async fn lock(&self, digest: &Digest) -> Result<Option<File>, HubError> {
        let path = self.locks.join(format!("{}.lock", digest.hex()));
        create_parent(&path)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(HubError::io("create the lock", &path))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(_)) => return Ok(None),
                Err(TryLockError::WouldBlock) => {}
            }
            if !told {
                tracing::info!(lock.path = %path.display(), "another download holds this file, waiting for it");
                told = true;
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }

    /// The folder of the snapshot that `main` stands for, whatever is in it.
    fn main_folder(&self) -> Result<PathBuf, Absence> {
        let commit = fs::read_to_string(self.root.join("refs").join(REF)).map_err(|_| Absence::NotCached)?;
        let commit = commit.trim();
        if commit.is_empty() || !commit.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Absence::NotCached);
        }
        let snapshot = self.root.join("snapshots").join(commit);
        if snapshot.is_dir() { Ok(snapshot) } else { Err(Absence::NotCached) }
    }

    /// The snapshot that `main` stands for, if it is a translation model with its weights.
    pub(super) fn translator(&self) -> Result<PathBuf, Absence> {
        let snapshot = self.main_folder()?;
        let names = files_in(&snapshot);
        let selection = select_translator(&names, Precision::default());
        let missing = missing_for_translator(&selection.files);
        match missing.or_else(|| selection.without_weights.first().map(|_| "the weights")) {
            Some(missing) => Err(Absence::Incomplete(missing.to_owned())),
            None => Ok(snapshot),
        }
    }

    /// The snapshot that `main` stands for, if every component that its `model_index.json` names is there with its
    /// weights.
    pub(super) fn snapshot(&self) -> Result<PathBuf, Absence> {
        let snapshot = self.main_folder()?;
        let incomplete = |missing: &str| Absence::Incomplete(missing.to_owned());
        let index = fs::read(snapshot.join(MODEL_INDEX)).map_err(|_| incomplete(MODEL_INDEX))?;
        let index: Value = serde_json::from_slice(&index).map_err(|_| incomplete(MODEL_INDEX))?;
        let files = component_files(&snapshot);
        for component in components(&index) {
            if !files.iter().any(|file| file.split_once('/').is_some_and(|(folder, _)| folder == component)) {
                return Err(incomplete(component));
            }
        }
        match select(&files, Precision::default()).without_weights.first() {
            Some(component) => Err(Absence::Incomplete(format!("the weights of {component}"))),
            None => Ok(snapshot),
        }
    }
}

/// Folders named by a `model_index.json`: the keys whose value is `[library, class]`, with both given.
fn components(index: &Value) -> impl Iterator<Item = &str> {
    index.as_object().into_iter().flatten().filter_map(|(name, value)| match value.as_array()?.as_slice() {
        [Value::String(_), Value::String(_)] if !name.starts_with('_') => Some(name.as_str()),
        _ => None,
    })
}

/// The names of the files of a folder. A link to a blob that is gone is no file.
fn files_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| folder.join(name).is_file()).collect()
}

/// The paths of all files in the folders of a snapshot. A link to a blob that is gone is no file.
fn component_files(snapshot: &Path) -> Vec<String> {
    let names = |dir: &Path| -> Vec<String> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    };
    let mut files = Vec::new();
    for folder in names(snapshot) {
        let dir = snapshot.join(&folder);
        files.extend(
            names(&dir).into_iter().filter(|file| dir.join(file).is_file()).map(|file| format!("{folder}/{file}")),
        );
    }
    files
}

fn has_size(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == size)
}

/// Creates the folder that is to hold `path`.
pub(super) fn create_parent(path: &Path) -> Result<(), HubError> {
    path.parent().map_or(Ok(()), |parent| fs::create_dir_all(parent).map_err(HubError::io("create", parent)))
}

#[cfg(unix)]
fn symlink(target: &str, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &str, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target.replace('/', "\\"), link)
}
