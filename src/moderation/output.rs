//! Output moderation: finished images are reviewed, and those that are refused are blocked or blurred.
//!
//! Invariant: while it is on, no image is returned that was not reviewed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::moderator::{ImageModerator, Unavailable};
use super::prompts::Policies;
use crate::domain::{Finding, Image};

/// What is done with an image that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Its job fails.
    Block,
    /// It is made unrecognisable.
    Blur,
}

/// The decision on an image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageDecision {
    pub findings: Vec<Finding>,
    pub refused: bool,
}

/// Links, and the policies that their findings are held against.
#[derive(Clone)]
pub struct OutputModeration {
    links: Vec<Arc<dyn ImageModerator>>,
    policies: Policies,
    pub action: Action,
}

impl std::fmt::Debug for OutputModeration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutputModeration").field("action", &self.action).finish_non_exhaustive()
    }
}

impl OutputModeration {
    /// These links, one after the other until one refuses, by the policies that prompts have.
    #[must_use]
    pub fn new(links: Vec<Arc<dyn ImageModerator>>, policies: Policies, action: Action) -> Self {
        Self { links, policies, action }
    }

    /// Review an image by the policy of this name.
    pub async fn review(&self, image: &Image, policy: Option<&str>) -> Result<ImageDecision, Unavailable> {
        let policy = self.policies.get(policy);
        let mut decision = ImageDecision::default();
        for link in &self.links {
            let mut findings = link.review_image(image).await?;
            findings.retain(|finding| policy.notes(finding));
            decision.refused = findings.iter().any(|finding| policy.refuses(finding));
            decision.findings.extend(findings);
            if decision.refused {
                break;
            }
        }
        Ok(decision)
    }

    /// All categories that there are.
    #[must_use]
    pub fn categories(&self) -> BTreeSet<String> {
        self.links.iter().flat_map(|link| link.categories()).collect()
    }
}
