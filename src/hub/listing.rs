//! What a repository holds, and which of it to fetch.
//!
//! Invariant: a [`Plan`] names only files whose path stays inside the snapshot and whose size and checksum are known.

use reqwest::header::{CONTENT_LENGTH, ETAG, HeaderMap};
use serde::Deserialize;

use super::digest::Digest;
use super::error::HubError;
use super::repo_id::RepoId;
use super::retry::{AttemptError, Backoff};
use super::select::{MODEL_INDEX, missing_for_translator, select, select_translator};
use super::transport::{Target, Transport};
use crate::tensor::weight_files::Precision;

const LINKED_ETAG: &str = "x-linked-etag";
const LINKED_SIZE: &str = "x-linked-size";

/// A file to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteFile {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) digest: Digest,
}

/// What to fetch of one repository.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) repo: RepoId,
    pub(super) commit: String,
    pub(super) files: Vec<RemoteFile>,
}

/// What a repository should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A diffusers pipeline.
    Pipeline,
    /// A Marian translation model.
    Translator,
}

#[derive(Debug, Deserialize)]
struct Listing {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Debug, Deserialize)]
struct Lfs {
    /// The tree API calls it `oid`, and some mirrors do so everywhere.
    #[serde(alias = "oid")]
    sha256: String,
    size: u64,
}

impl Sibling {
    /// Size and checksum, if the listing has both.
    fn known(&self) -> Option<(u64, Digest)> {
        match &self.lfs {
            Some(lfs) => Some((lfs.size, Digest::parse(&lfs.sha256)?)),
            None => Some((self.size?, Digest::parse(self.blob_id.as_deref()?)?)),
        }
    }
}

impl Plan {
    /// Asks the hub what the repository holds and chooses.
    pub(super) async fn make(
        transport: &Transport,
        repo: &RepoId,
        content: Content,
        precision: Precision,
    ) -> Result<Self, HubError> {
        let listing = list(transport, repo).await?;
        let names: Vec<&str> = listing.siblings.iter().map(|sibling| sibling.rfilename.as_str()).collect();
        let selection = match content {
            Content::Pipeline => select(&names, precision),
            Content::Translator => select_translator(&names, precision),
        };
        match content {
            Content::Pipeline if !selection.files.iter().any(|file| file == MODEL_INDEX) => {
                return Err(HubError::NotAPipeline { repo: repo.to_string() });
            }
            Content::Translator if missing_for_translator(&selection.files).is_some() => {
                return Err(HubError::NotATranslator { repo: repo.to_string() });
            }
            Content::Pipeline | Content::Translator => {}
        }
        if let Some(component) = selection.without_weights.into_iter().next() {
            return Err(HubError::NoWeights { repo: repo.to_string(), component });
        }
        let mut files = Vec::with_capacity(selection.files.len());
        for path in selection.files {
            if !is_safe(&path) {
                return Err(HubError::UnsafePath { repo: repo.to_string(), path });
            }
            let sibling = listing.siblings.iter().find(|sibling| sibling.rfilename == path);
            let (size, digest) = match sibling.and_then(Sibling::known) {
                Some(known) => known,
                // Mirrors do not always pass the listing's details on.
                None => ask(transport, repo, &listing.sha, &path).await?,
            };
            files.push(RemoteFile { path, size, digest });
        }
        Ok(Self { repo: repo.clone(), commit: listing.sha, files })
    }
}

async fn list(transport: &Transport, repo: &RepoId) -> Result<Listing, HubError> {
    let what = format!("the list of files of {repo}");
    let target = Target { repo, what: &what };
    let wrong = |reason: String| HubError::Answer { what: what.clone(), reason };
    let mut backoff = Backoff::new(&transport.retry, &what);
    let body = loop {
        let attempt = async {
            let response = transport.get(transport.listing_url(repo), 0, target).await?;
            response.bytes().await.map_err(|error| AttemptError::network(&what, error))
        };
        match attempt.await {
            Ok(body) => break body,
            Err(failure) => backoff.pause(failure).await?,
        }
    };
    let listing: Listing =
        serde_json::from_slice(&body).map_err(|error| wrong(format!("the answer is not the hub's: {error}")))?;
    // It becomes a folder's name.
    if listing.sha.is_empty() || !listing.sha.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong("the answer names no commit".to_owned()));
    }
    Ok(listing)
}

/// Size and checksum by the headers of the file itself.
async fn ask(transport: &Transport, repo: &RepoId, commit: &str, path: &str) -> Result<(u64, Digest), HubError> {
    let what = format!("{repo}/{path}");
    let mut backoff = Backoff::new(&transport.retry, &what);
    let response = loop {
        match transport.head(transport.file_url(repo, commit, path), Target { repo, what: &what }).await {
            Ok(response) => break response,
            Err(failure) => backoff.pause(failure).await?,
        }
    };
    let headers = response.headers();
    let size = text(headers, LINKED_SIZE)
        .or_else(|| if response.status().is_redirection() { None } else { text(headers, CONTENT_LENGTH.as_str()) })
        .and_then(|size| size.parse().ok());
    let digest = text(headers, LINKED_ETAG).or_else(|| text(headers, ETAG.as_str())).and_then(Digest::parse);
    size.zip(digest).ok_or(HubError::NoChecksum { file: what })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a path of the hub stays inside of the folder it is put into, on any system.
fn is_safe(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '\0']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_the_snapshot() {
        assert!(is_safe("unet/config.json"));
        assert!(is_safe("model_index.json"));
        for path in
            ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./x", "a\\..\\x", "C:/x", "C:x", "a/b:stream", "a/\0"]
        {
            assert!(!is_safe(path), "{path:?} was accepted");
        }
    }

    #[test]
    fn lfs_files_have_a_sha256_and_small_ones_a_git_id() {
        let sibling = |json: serde_json::Value| serde_json::from_value::<Sibling>(json).unwrap().known();
        let (sha256, git) = ("a".repeat(64), "b".repeat(40));
        let lfs = serde_json::json!({"sha256": sha256, "size": 9, "pointerSize": 1});
        let lfs = serde_json::json!({"rfilename": "x", "size": 9, "blobId": git, "lfs": lfs});
        assert_eq!(sibling(lfs), Some((9, Digest::Sha256(sha256))));
        assert_eq!(
            sibling(serde_json::json!({"rfilename": "x", "size": 9, "blobId": git})),
            Some((9, Digest::GitBlob(git)))
        );
        assert_eq!(sibling(serde_json::json!({"rfilename": "x"})), None);
    }
}
