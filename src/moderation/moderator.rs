//! What a link of a moderation chain is.

use async_trait::async_trait;

use crate::domain::{Finding, Image};

/// A moderator does not answer, and nothing must pass without it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {link} moderation does not answer: {why}")]
pub struct Unavailable {
    pub link: &'static str,
    pub why: String,
}

/// Reviews texts.
#[async_trait]
pub trait Moderator: Send + Sync {
    /// Its name in rules and metrics.
    fn name(&self) -> &'static str;

    /// What it finds in these texts, each finding with the index of its text.
    async fn review(&self, texts: &[&str]) -> Result<Vec<(usize, Finding)>, Unavailable>;

    /// The categories that it knows.
    fn categories(&self) -> Vec<String>;
}

/// Reviews images.
#[async_trait]
pub trait ImageModerator: Send + Sync {
    /// What it finds in an image.
    async fn review_image(&self, image: &Image) -> Result<Vec<Finding>, Unavailable>;

    /// The categories that it knows.
    fn categories(&self) -> Vec<String>;
}
