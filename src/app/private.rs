//! Files that belong to the server alone: prompts, images, secrets.
//!
//! Invariant: what this program makes from here on can be read by its own user alone, and what an earlier version left open in
//! the data folder is closed before it is used.

use std::path::Path;

use anyhow::Context as _;

/// Let no other user read the files that this process makes, whichever part of it makes them.
#[cfg(unix)]
pub fn keep_files_private() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// Elsewhere, folders pass their rights on.
#[cfg(not(unix))]
pub fn keep_files_private() {}

/// Make the data folder, or close what others may read in it. The folder itself may hold more than is ours, so it is only
/// pointed out.
pub(super) fn prepare_data_folder(folder: &Path) -> anyhow::Result<()> {
    if !folder.exists() {
        return create_folder(folder);
    }
    #[cfg(unix)]
    close::data_folder(folder);
    Ok(())
}

#[cfg(unix)]
fn create_folder(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;

    let made = std::fs::DirBuilder::new().recursive(true).mode(close::FOLDER).create(folder);
    made.with_context(|| format!("cannot make the folder {}", folder.display()))
}

#[cfg(not(unix))]
fn create_folder(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))
}

#[cfg(unix)]
mod close {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// The folder is prepared for each part that uses it.
    static SAID: AtomicBool = AtomicBool::new(false);

    pub(super) const FOLDER: u32 = 0o700;
    const FILE: u32 = 0o600;
    /// What the data folder has of ours.
    const FILES: [&str; 6] =
        ["jobs.sqlite", "jobs.sqlite-wal", "jobs.sqlite-shm", "jobs.sqlite.lock", "url-secret", "webhook-secret"];
    const FOLDERS: [&str; 1] = ["pictures"];

    pub(super) fn data_folder(folder: &Path) {
        if others_may(folder) && !SAID.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                folder = %folder.display(),
                "other users may look into the data folder; `chmod 700` on it keeps them out (its files are private)"
            );
        }
        let files = FILES.map(|name| (name, FILE));
        let folders = FOLDERS.map(|name| (name, FOLDER));
        for (name, mode) in files.into_iter().chain(folders) {
            let path = folder.join(name);
            if !others_may(&path) {
                continue;
            }
            match std::fs::set_permissions(&path, Permissions::from_mode(mode)) {
                Ok(()) => tracing::info!(path = %path.display(), "other users could read this, and now cannot"),
                Err(error) => tracing::warn!(path = %path.display(), %error, "other users may read this"),
            }
        }
    }

    /// Whether other users than the owner have a right to it; false for what does not exist.
    fn others_may(path: &Path) -> bool {
        std::fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_symlink() && meta.permissions().mode() & 0o077 != 0)
    }
}
