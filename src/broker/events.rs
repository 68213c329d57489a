//! What happens to a job, as those who wait for it hear of it.

use std::sync::Arc;

use uuid::Uuid;

use crate::records::Job;

/// The files of finished images, in order.
pub type Files = Arc<Vec<Vec<u8>>>;

/// What happened.
#[derive(Debug, Clone)]
pub enum JobEvent {
    /// It waits; this many jobs go before it.
    Queued { position: usize, eta_ms: u64 },
    Progress {
        /// The stage's name in events.
        stage: &'static str,
        step: usize,
        steps: usize,
        percent: f32,
        eta_ms: u64,
    },
    /// Roughly what image number `index` will be, as a PNG.
    Preview { index: usize, step: usize, png: Arc<Vec<u8>> },
    /// The end; with the images' files if it succeeded and they are at hand.
    Ended { job: Arc<Job>, files: Option<Files> },
}

impl JobEvent {
    /// About what a log holds by keeping it: its preview, or the texts of its job, beside their JSON.
    pub(super) fn kept_bytes(&self) -> usize {
        match self {
            Self::Preview { png, .. } => png.len(),
            Self::Ended { job, .. } => 2 * job.spec.parameters.len(),
            Self::Queued { .. } | Self::Progress { .. } => 0,
        }
    }

    /// Whether `newer`, an event of the same job, says all that is still of interest in this one.
    pub(super) fn is_superseded_by(&self, newer: &Self) -> bool {
        match (self, newer) {
            (Self::Queued { .. } | Self::Progress { .. }, Self::Preview { .. }) => false,
            (Self::Queued { .. } | Self::Progress { .. }, _) => true,
            _ => false,
        }
    }
}

/// An event with its number. Numbers grow, also across restarts.
#[derive(Debug, Clone)]
pub struct NumberedEvent {
    pub number: u64,
    pub job: Uuid,
    pub event: JobEvent,
}
