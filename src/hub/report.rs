//! What a pull did, file by file and in sum.

use std::fmt;

use indicatif::HumanBytes;

/// What happened to one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileOutcome {
    /// `bytes` came over the network.
    Fetched { bytes: u64 },
    /// The file, of that size, needed no download.
    AlreadyThere { bytes: u64 },
}

/// What a pull did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Files downloaded, whole or in part.
    pub fetched: usize,
    /// Bytes that came over the network for them.
    pub fetched_bytes: u64,
    /// Files that needed no download.
    pub already_there: usize,
    /// Their size in bytes.
    pub already_there_bytes: u64,
    /// What the user should know, although the pull succeeded.
    pub warnings: Vec<String>,
}

impl Report {
    pub(super) fn add(&mut self, outcome: FileOutcome) {
        match outcome {
            FileOutcome::Fetched { bytes } => {
                self.fetched += 1;
                self.fetched_bytes += bytes;
            }
            FileOutcome::AlreadyThere { bytes } => {
                self.already_there += 1;
                self.already_there_bytes += bytes;
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "fetched {} files ({}), {} already there ({})",
            self.fetched,
            HumanBytes(self.fetched_bytes),
            self.already_there,
            HumanBytes(self.already_there_bytes)
        )
    }
}
