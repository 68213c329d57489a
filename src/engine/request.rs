//! A checked request, and how it is to be treated.

use std::time::Duration;

use crate::journal::JobRef;
use crate::modes::CheckedGeneration;

/// A checked request, and how it is to be treated.
#[derive(Debug, Clone)]
pub struct GenerationRequest {
    pub generation: CheckedGeneration,
    /// Whose it is: owners share the device. Empty where there is one alone.
    pub owner: String,
    /// Larger goes first: `Priority::level`.
    pub priority: u8,
    /// A preview every so many denoising steps of an image; 0: none.
    pub preview_interval: u32,
    /// For logs; may be empty.
    pub request_id: String,
    /// The job that it belongs to, for the journal.
    pub job: Option<JobRef>,
    /// `None`: nothing speaks against it.
    pub caution: Option<Caution>,
}

/// How a request is executed that may have cost an earlier worker its life: its steps are shared with no other request, so
/// that another death accuses it alone, or clears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caution {
    /// Where a worker died that executed it alone, as the journal names places. There it waits for a while before it is
    /// executed again: a death from outside then finds it waiting.
    pub place: Option<String>,
    pub pause: Duration,
}

impl GenerationRequest {
    /// Of normal priority, without previews.
    #[must_use]
    pub fn new(generation: CheckedGeneration) -> Self {
        Self {
            generation,
            owner: String::new(),
            priority: 1,
            preview_interval: 0,
            request_id: String::new(),
            job: None,
            caution: None,
        }
    }
}
