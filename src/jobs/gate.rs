//! What is known of the stores: whether what is made can be stored at present.
//!
//! Invariant: closed by whatever could not be stored, opened by a check that succeeds (`storage`).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::Mutex;

use crate::store::StoreError;

/// A check is not made with more bytes than that.
const MAX_PROBE_BYTES: usize = 4 << 20;

/// What is known of the stores.
#[derive(Default)]
pub(super) struct StorageGate {
    /// The latest check; held while one is made, so that there is one at a time.
    pub(super) checked: Mutex<Option<(Instant, Result<(), StoreError>)>>,
    pub(super) is_closed: AtomicBool,
    /// Bytes that could not be written lately: a check has to write as many.
    pub(super) probe_bytes: AtomicUsize,
}

impl StorageGate {
    /// Whether something could not be stored, and no check has succeeded since.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Begin nothing until a check succeeds that writes so many bytes.
    pub(super) fn close(&self, bytes: usize) {
        self.probe_bytes.fetch_max(bytes.min(MAX_PROBE_BYTES), Ordering::SeqCst);
        self.is_closed.store(true, Ordering::SeqCst);
    }
}
