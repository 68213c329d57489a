//! The file of a SQLite database: one server at a time has it, notices when it is taken away, and holds some room in reserve.
//!
//! Invariant: two servers never have one database, even if the lock file was removed: the database itself is locked, too.
//! The operating system gives locks back when the process ends, however it ends.

use std::fs::{File, Metadata, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::store::error::StoreError;

/// What is given up on a full disk, so that jobs can be canceled and deleted.
const RESERVE_BYTES: usize = 1 << 20;

/// See the module.
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// Closed before the lock file: who waits for that finds this one free. (SQLite's own locks are of another kind, `fcntl`'s,
    /// and closing a descriptor ends those of the whole process: so it stays open as long as the pools.)
    database: File,
    lock: File,
}

impl DatabaseFile {
    /// Take the database of this path, which is made if it does not exist.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let lock_file = lock(path)?;
        let database = private_file(path).map_err(|why| failed("open", path, &why))?;
        // On other systems the two kinds of locks exclude each other.
        if cfg!(target_os = "linux") {
            try_lock(&database, path, path)?;
        }
        Ok(Self { path: path.to_owned(), database, lock: lock_file })
    }

    /// Whether the files are still those that were opened.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        for (file, path) in [(&self.database, self.path.clone()), (&self.lock, beside(&self.path, "lock"))] {
            let is_same = match (file.metadata(), std::fs::metadata(&path)) {
                (Ok(opened), Ok(found)) => is_same_file(&opened, &found),
                _ => false,
            };
            if !is_same {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Err(StoreError::Unavailable(format!(
                    "{name} was deleted or replaced while the server is using it; restart the server"
                )));
            }
        }
        Ok(())
    }

    /// Give the reserve up. False: there was none.
    pub(super) fn release_reserve(&self) -> bool {
        std::fs::remove_file(beside(&self.path, "reserve")).is_ok()
    }

    /// Hold the reserve again.
    pub(super) fn restore_reserve(&self) -> Result<(), StoreError> {
        let path = beside(&self.path, "reserve");
        if std::fs::metadata(&path).is_ok_and(|found| found.len() == RESERVE_BYTES as u64) {
            return Ok(());
        }
        let written = private_file(&path).and_then(|mut file| {
            file.set_len(0)?;
            file.write_all(&noise())?;
            file.sync_all()
        });
        written.map_err(|why| {
            let _ = std::fs::remove_file(&path);
            failed("write", &path, &why)
        })
    }
}

/// Bytes that file systems do not compress.
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(RESERVE_BYTES / 8).flatten().collect()
}

/// Keep other servers out: SQLite would share the file, but leases and idle workers are known to one server only.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let lock = beside(path, "lock");
    let file = private_file(&lock).map_err(|why| failed("lock", &lock, &why))?;
    try_lock(&file, &lock, path)?;
    Ok(file)
}

fn try_lock(file: &File, lock: &Path, database: &Path) -> Result<(), StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable(format!(
            "another process uses {} (it holds the lock on {})",
            database.display(),
            lock.display()
        ))),
        Err(TryLockError::Error(why)) => Err(failed("lock", lock, &why)),
    }
}

/// For its owner alone.
fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn failed(what: &str, path: &Path, why: &std::io::Error) -> StoreError {
    StoreError::of_io(why, format!("cannot {what} {}: {why}", path.display()))
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

#[cfg(unix)]
fn is_same_file(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn is_same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}
