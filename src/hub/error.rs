//! The one error of the hub client, worded for the person who typed `kandinsky pull`.
//!
//! Invariant: no message holds the token, nor a URL (those of the CDN are signed and as good as a token).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a family could not be brought into the cache or found there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The id is none that the hub could have.
    #[error("{id:?} is not a hub id: {reason}")]
    InvalidId {
        /// As given.
        id: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A setting cannot be used. Its value is not shown: it may be a secret.
    #[error("{setting} {reason}")]
    InvalidSetting {
        /// Its name, as in the environment.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client could not be built.
    #[error("cannot set up HTTPS")]
    Client(#[source] reqwest::Error),
    /// The hub has no such repository, or hides it.
    #[error("{repo} was not found on {hub} (if it is private, set HF_TOKEN to a token that can read it)")]
    NotFound {
        /// The repository.
        repo: String,
        /// The hub's scheme and host.
        hub: String,
    },
    /// The hub knows the caller too little, or the licence was not accepted.
    #[error("{hub} refused access to {repo} ({status}): {}", refusal(*.with_token))]
    Access {
        /// The repository.
        repo: String,
        /// The hub's scheme and host.
        hub: String,
        /// 401 or 403.
        status: u16,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// Not in the cache, and the network was not used.
    #[error("{repo} is not in the cache at {}{}", .cache.display(), hint(*.offline))]
    NotCached {
        /// The repository.
        repo: String,
        /// The cache folder.
        cache: PathBuf,
        /// Whether offline mode forbade to fetch it.
        offline: bool,
    },
    /// A download into the cache was begun and never finished.
    #[error("{repo} is in the cache only in part: {missing} is missing{}", hint(*.offline))]
    Incomplete {
        /// The repository.
        repo: String,
        /// A file or component that is not there.
        missing: String,
        /// Whether offline mode forbade to fetch it.
        offline: bool,
    },
    /// The connection failed, and went on failing.
    #[error("cannot fetch {what}")]
    Network {
        /// What was asked for.
        what: String,
        /// The last failure.
        #[source]
        source: reqwest::Error,
    },
    /// The server's answer was no use, and stayed so.
    #[error("cannot fetch {what}: {reason}")]
    Answer {
        /// What was asked for.
        what: String,
        /// What came instead.
        reason: String,
    },
    /// The server asks for more patience than a command should have.
    #[error("cannot fetch {what}: the server asks to come back in {} s", .wait.as_secs())]
    RateLimited {
        /// What was asked for.
        what: String,
        /// How long the server wants to be left alone.
        wait: Duration,
    },
    /// The repository holds no diffusers pipeline.
    #[error("{repo} has no model_index.json: it is not a diffusers pipeline")]
    NotAPipeline {
        /// The repository.
        repo: String,
    },
    /// The repository is something else.
    #[error("{repo} is no translation model (it has no vocab.json or no source.spm)")]
    NotATranslator {
        /// The repository.
        repo: String,
    },
    /// A component whose weights are in none of the known forms.
    #[error("{repo} has no usable weights for {component} (looked for safetensors and PyTorch .bin files)")]
    NoWeights {
        /// The repository.
        repo: String,
        /// The folder.
        component: String,
    },
    /// The hub named a file that would be written outside of the cache.
    #[error("{repo} lists the unsafe file name {path:?}")]
    UnsafePath {
        /// The repository.
        repo: String,
        /// As listed.
        path: String,
    },
    /// Neither the listing nor the headers say what the file should be.
    #[error("the hub gives no size or no checksum for {file}, so it cannot be verified")]
    NoChecksum {
        /// Repository and file.
        file: String,
    },
    /// More or fewer bytes than the hub's listing says.
    #[error("{file} has the wrong size: expected {expected} bytes, got {got}; nothing of it was kept")]
    Size {
        /// Repository and file.
        file: String,
        /// By the hub's listing.
        expected: u64,
        /// What the server sent or announced.
        got: u64,
    },
    /// Other bytes than the hub's listing says.
    #[error("{file} has the wrong checksum: expected {expected}, got {got}; nothing of it was kept")]
    Checksum {
        /// Repository and file.
        file: String,
        /// By the hub's listing, in hex.
        expected: String,
        /// Of the bytes received, in hex.
        got: String,
    },
    /// The cache folder cannot be read or written.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl HubError {
    /// For `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the hub said, as far as it ever does, that there is no such repository. To a caller without a token it
    /// answers 401 for one that does not exist, so that the names of private ones stay secret.
    pub(super) fn means_missing(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::Access { status: 401, with_token: false, .. })
    }
}

fn refusal(with_token: bool) -> &'static str {
    if with_token {
        "the token (HF_TOKEN) is not valid, may not read it, or its owner has not accepted the licence on its page"
    } else {
        "it does not exist, or a token is needed: set HF_TOKEN, and accept the licence on its page if it is gated"
    }
}

fn hint(offline: bool) -> &'static str {
    if offline {
        ", and offline mode is on (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE)"
    } else {
        "; `kandinsky pull` fetches it"
    }
}
