//! A checked request, and how it is to be treated.

use crate::modes::CheckedGeneration;

/// A checked request, and how it is to be treated.
#[derive(Debug, Clone)]
pub struct GenerationRequest {
    pub generation: CheckedGeneration,
    /// Larger goes first: `Priority::level`.
    pub priority: u8,
    /// A preview every so many denoising steps of an image; 0: none.
    pub preview_interval: u32,
    /// For logs; may be empty.
    pub request_id: String,
}

impl GenerationRequest {
    /// Of normal priority, without previews.
    #[must_use]
    pub fn new(generation: CheckedGeneration) -> Self {
        Self { generation, priority: 1, preview_interval: 0, request_id: String::new() }
    }
}
