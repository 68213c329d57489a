//! What each pull test starts from.
//!
//! Invariant: nothing is shared between tests, and no pause of the client is longer than an instant.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kandinsky::hub::{FileProgress, Hub, HubConfig, HubError, HubRetry, Precision, Progress, Pulled, Silent};
use kandinsky::retry::RetryPolicy;
use tempfile::TempDir;

use super::fake_hub::{self, FakeHub};

pub const ID: &str = "acme/kandinsky-2-1";

/// A hub of its own and an empty cache for one test.
pub struct Bench {
    pub hub: FakeHub,
    pub cache: TempDir,
}

impl Bench {
    pub async fn new() -> Self {
        Self { hub: FakeHub::with_family(ID).await, cache: TempDir::new().unwrap() }
    }

    pub fn config(&self) -> HubConfig {
        let mut config = HubConfig::new(&self.hub.url, self.cache.path()).unwrap();
        let policy = RetryPolicy::constant(Duration::from_millis(1)).at_most(3);
        config.retry = HubRetry { policy, ..HubRetry::default() };
        config
    }

    pub fn client(&self) -> Hub {
        Hub::new(self.config()).unwrap()
    }

    pub async fn pull(&self) -> Result<Pulled, HubError> {
        self.client().pull(ID, Precision::Half, &Silent).await
    }

    pub fn repo(&self, id: &str) -> PathBuf {
        self.cache.path().join(format!("models--{}", id.replace('/', "--")))
    }

    pub fn snapshot(&self, id: &str) -> PathBuf {
        self.repo(id).join("snapshots").join(fake_hub::commit_of(id))
    }

    /// Files under `blobs` that are no finished blobs.
    pub fn leftovers(&self, id: &str) -> Vec<PathBuf> {
        files_under(&self.repo(id).join("blobs")).into_iter().filter(|path| path.extension().is_some()).collect()
    }
}

/// All files and links below a folder, relative to it, sorted.
pub fn files_under(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Adds up what a download reports.
#[derive(Clone, Default)]
pub struct Meters(Arc<Mutex<BTreeMap<String, Meter>>>);

#[derive(Default)]
struct Meter {
    already: u64,
    position: u64,
    total: u64,
    finished: bool,
}

impl Meters {
    /// Bytes there at the start, bytes there at the end and bytes expected, of a file that was finished.
    pub fn of(&self, name: &str) -> Option<(u64, u64, u64)> {
        let meters = self.0.lock().unwrap();
        let meter = meters.get(name).filter(|meter| meter.finished)?;
        Some((meter.already, meter.position, meter.total))
    }
}

impl Progress for Meters {
    fn start(&self, name: &str, total: u64, already: u64) -> Box<dyn FileProgress> {
        let meter = Meter { already, position: already, total, finished: false };
        self.0.lock().unwrap().insert(name.to_owned(), meter);
        Box::new(MeterOf { meters: self.clone(), name: name.to_owned() })
    }
}

struct MeterOf {
    meters: Meters,
    name: String,
}

impl MeterOf {
    fn change(&self, change: impl FnOnce(&mut Meter)) {
        change(self.meters.0.lock().unwrap().entry(self.name.clone()).or_default());
    }
}

impl FileProgress for MeterOf {
    fn advance(&self, bytes: u64) {
        self.change(|meter| meter.position += bytes);
    }

    fn restart(&self) {
        self.change(|meter| meter.position = 0);
    }

    fn finish(&self) {
        self.change(|meter| meter.finished = true);
    }
}
