//! What the hub says a file's bytes are: the sha256 of an LFS file, or the git blob id of a small one.
//!
//! Invariant: a [`Digest`] is lower-case hex of the right length, so it is safe as the name of a blob.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

const READ_BYTES: usize = 1 << 20;

/// A checksum, which is also the etag and the name of the blob in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Digest {
    /// Of the bytes.
    Sha256(String),
    /// Of `blob LENGTH\0` and the bytes.
    GitBlob(String),
}

impl Digest {
    /// Tells the two apart by their length. Takes an etag as HTTP writes it, or plain hex.
    pub(super) fn parse(etag: &str) -> Option<Self> {
        let hex = etag.trim().trim_start_matches("W/").trim_matches('"').to_ascii_lowercase();
        if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        match hex.len() {
            64 => Some(Self::Sha256(hex)),
            40 => Some(Self::GitBlob(hex)),
            _ => None,
        }
    }

    pub(super) fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitBlob(hex) => hex,
        }
    }

    /// The digest of the same kind of a file's content. Reads the whole file: for a blocking thread.
    pub(super) fn of_file(&self, path: &Path) -> io::Result<String> {
        let mut file = File::open(path)?;
        match self {
            Self::Sha256(_) => feed(&mut file, Sha256::new()),
            Self::GitBlob(_) => {
                let length = file.metadata()?.len();
                feed(&mut file, Sha1::new_with_prefix(format!("blob {length}\0")))
            }
        }
    }
}

fn feed<D: sha2::Digest>(file: &mut File, mut digest: D) -> io::Result<String> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        digest.update(&buffer[..read]);
    }
    Ok(digest.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests_come_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "hello\n").unwrap();
        // `git hash-object` and `sha256sum` of the same bytes.
        let git = Digest::parse("\"ce013625030ba8dba906f756967f9e9ca394464a\"").unwrap();
        assert_eq!(git.of_file(&path).unwrap(), git.hex());
        let sha = Digest::parse("5891B5B522D5DF086D0FF0B110FBD9D21BB4FC7163AF34D08286A2E846F6BE03").unwrap();
        assert_eq!(sha.of_file(&path).unwrap(), sha.hex());
    }

    #[test]
    fn other_etags_are_no_digests() {
        for etag in ["", "\"abc\"", "../../../../../../../../../../../../../x", &"g".repeat(40), &"a".repeat(41)] {
            assert_eq!(Digest::parse(etag), None, "{etag}");
        }
    }
}
