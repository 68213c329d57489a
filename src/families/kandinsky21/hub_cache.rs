//! A checkpoint in the hub's cache, `models--OWNER--NAME/snapshots/COMMIT`, named by the path of one of its repositories.
//!
//! Invariant: the parts of a checkpoint are sibling repositories of one owner; each is taken at the commit that its `main`
//! stands for, but the one that was named, at the commit that was named.

use std::path::{Path, PathBuf};

use super::checkpoint::{Checkpoint, base_name, is_combined};

const REPOSITORY: &str = "models--";
const SNAPSHOTS: &str = "snapshots";

/// The checkpoint that a path in a cache belongs to; `None`: it is no such path, or the repository has no snapshot.
pub(super) fn find(path: &Path) -> Option<Checkpoint> {
    let (repository, named) =
        match path.parent().filter(|parent| parent.file_name().is_some_and(|name| name == SNAPSHOTS)) {
            Some(snapshots) => (snapshots.parent()?, Some(path.to_owned())),
            None => (path, None),
        };
    let folder = repository.file_name()?.to_str()?;
    let id = folder.strip_prefix(REPOSITORY)?;
    let cache = repository.parent()?;
    let base = base_name(id);
    let own = named.or_else(|| snapshot(repository))?;
    let part = |suffix: &str| {
        let name = format!("{base}{suffix}");
        if name == id {
            return own.clone();
        }
        // What is not there is looked for here, as messages say.
        let repository = cache.join(format!("{REPOSITORY}{name}"));
        snapshot(&repository).unwrap_or(repository)
    };
    let name = base.rsplit("--").next().unwrap_or(base);
    let mut checkpoint = Checkpoint::from_folders(name, part("-prior"), part(""), Some(part("-inpaint")));
    if is_combined(&own) {
        checkpoint.set_combined(&own);
    }
    Some(checkpoint)
}

/// The snapshot of a repository that `main` stands for, or the only one.
fn snapshot(repository: &Path) -> Option<PathBuf> {
    let snapshots = repository.join(SNAPSHOTS);
    let commit = std::fs::read_to_string(repository.join("refs/main")).unwrap_or_default();
    let commit = commit.trim();
    let is_commit = !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let main = is_commit.then(|| snapshots.join(commit)).filter(|snapshot| snapshot.is_dir());
    main.or_else(|| {
        let entries = std::fs::read_dir(&snapshots).ok()?;
        let mut all = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
        let only = all.next()?;
        all.next().is_none().then_some(only)
    })
}
