//! Brings one file into the cache: resumes what an earlier try left, verifies, and only then shows it in the snapshot.
//!
//! Invariant: bytes that were not verified are under a name that ends in `.incomplete`, and nowhere else.

use std::io::{self, SeekFrom};
use std::path::PathBuf;

use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use tokio::fs::{self, File};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use super::cache::{RepoCache, create_parent};
use super::error::HubError;
use super::listing::RemoteFile;
use super::progress::{FileProgress, Progress};
use super::repo_id::RepoId;
use super::report::FileOutcome;
use super::retry::{AttemptError, Backoff};
use super::transport::{Target, Transport};

/// The download of one file.
#[derive(Clone, Copy)]
pub(super) struct Download<'a> {
    pub(super) transport: &'a Transport,
    pub(super) cache: &'a RepoCache,
    pub(super) repo: &'a RepoId,
    pub(super) commit: &'a str,
    pub(super) file: &'a RemoteFile,
    pub(super) progress: &'a dyn Progress,
}

impl Download<'_> {
    pub(super) async fn run(self) -> Result<FileOutcome, HubError> {
        let RemoteFile { path, size, digest } = self.file;
        let there = FileOutcome::AlreadyThere { bytes: *size };
        if self.cache.has_file(self.commit, path, *size) {
            return Ok(there);
        }
        let _lock = self.cache.lock(digest).await?;
        if self.cache.has_blob(digest, *size) {
            self.cache.link(self.commit, path, digest)?;
            return Ok(there);
        }
        let what = format!("{}/{path}", self.repo);
        let mut partial = Partial::open(self.cache.partial(digest)).await?;
        if partial.length > *size {
            partial.restart().await?;
        }
        let meter = self.progress.start(&format!("{}/{path}", self.repo.name()), *size, partial.length);
        let bytes = match self.receive(&mut partial, &what, meter.as_ref()).await {
            Ok(bytes) => bytes,
            Err(error) => {
                if matches!(error, HubError::Size { .. }) {
                    partial.discard().await?;
                }
                return Err(error);
            }
        };
        let partial = self.verified(partial, what).await?;
        let blob = self.cache.blob(digest);
        fs::rename(&partial, &blob).await.map_err(HubError::io("create", &blob))?;
        self.cache.link(self.commit, path, digest)?;
        meter.finish();
        Ok(FileOutcome::Fetched { bytes })
    }

    /// Fills the partial file up to the expected size. Gives the number of bytes received.
    async fn receive(self, partial: &mut Partial, what: &str, meter: &dyn FileProgress) -> Result<u64, HubError> {
        let mut backoff = Backoff::new(&self.transport.retry, what);
        let mut received = 0;
        // A server that cuts the line at the same place each time, and knows no ranges, must not count as progress.
        let mut furthest = partial.length;
        while partial.length < self.file.size {
            let attempt = self.attempt(partial, what, meter, &mut received).await;
            partial.flush().await?;
            if partial.length > furthest {
                furthest = partial.length;
                backoff.progressed();
            }
            if let Err(failure) = attempt {
                backoff.pause(failure).await?;
            }
        }
        Ok(received)
    }

    async fn attempt(
        self,
        partial: &mut Partial,
        what: &str,
        meter: &dyn FileProgress,
        received: &mut u64,
    ) -> Result<(), AttemptError> {
        let expected = self.file.size;
        let wrong_size = |got| HubError::Size { file: what.to_owned(), expected, got };
        let url = self.transport.file_url(self.repo, self.commit, &self.file.path);
        let target = Target { repo: self.repo, what };
        let mut response = self.transport.get(url, partial.length, target).await?;
        if partial.length > 0 && !continues_at(&response, partial.length) {
            partial.restart().await?;
            meter.restart();
            if response.status() != StatusCode::OK {
                let reason = "the server cannot continue where it stopped".to_owned();
                return Err(AttemptError::passing(HubError::Answer { what: what.to_owned(), reason }));
            }
        }
        if let Some(length) = response.content_length()
            && partial.length + length != expected
        {
            return Err(wrong_size(partial.length + length).into());
        }
        while let Some(chunk) = response.chunk().await.map_err(|error| AttemptError::network(what, error))? {
            let count = chunk.len() as u64;
            if partial.length + count > expected {
                return Err(wrong_size(partial.length + count).into());
            }
            partial.append(&chunk).await?;
            *received += count;
            meter.advance(count);
        }
        if partial.length < expected {
            // Without a Content-Length, an early end looks like any other.
            return Err(AttemptError::passing(wrong_size(partial.length)));
        }
        Ok(())
    }

    /// Gives the path back if the bytes on disk are the right ones, and removes them if not.
    async fn verified(self, partial: Partial, what: String) -> Result<PathBuf, HubError> {
        partial.file.sync_all().await.map_err(HubError::io("write", &partial.path))?;
        let expected = self.file.digest.clone();
        let path = partial.path.clone();
        let got = tokio::task::spawn_blocking(move || expected.of_file(&path))
            .await
            .map_err(io::Error::other)
            .flatten()
            .map_err(HubError::io("read", &partial.path))?;
        if got == self.file.digest.hex() {
            return Ok(partial.path);
        }
        partial.discard().await?;
        Err(HubError::Checksum { file: what, expected: self.file.digest.hex().to_owned(), got })
    }
}

/// Whether the body begins at `offset` of the file.
fn continues_at(response: &Response, offset: u64) -> bool {
    response.status() == StatusCode::PARTIAL_CONTENT
        && response
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok()?.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok())
            == Some(offset)
}

/// The bytes received so far.
struct Partial {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Partial {
    async fn open(path: PathBuf) -> Result<Self, HubError> {
        create_parent(&path)?;
        // On this thread: one that is left to another may be made after this download was given up, and another one has ended.
        let opened = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let mut file = File::from_std(opened.map_err(HubError::io("create", &path))?);
        let length = file.seek(SeekFrom::End(0)).await.map_err(HubError::io("read", &path))?;
        Ok(Self { path, file, length })
    }

    async fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file.write_all(bytes).await.map_err(HubError::io("write", &self.path))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), HubError> {
        self.file.flush().await.map_err(HubError::io("write", &self.path))
    }

    async fn restart(&mut self) -> Result<(), HubError> {
        self.file.set_len(0).await.map_err(HubError::io("write", &self.path))?;
        self.file.rewind().await.map_err(HubError::io("write", &self.path))?;
        self.length = 0;
        Ok(())
    }

    async fn discard(self) -> Result<(), HubError> {
        fs::remove_file(&self.path).await.map_err(HubError::io("remove", &self.path))
    }
}
