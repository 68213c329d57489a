//! The hook on finished pictures: who judges them, and what becomes of those that are refused.
//!
//! Invariant: while it is on, no picture leaves that has not been judged.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Policies, Unavailable};
use crate::domain::{Finding, Image};

/// Judges pictures.
#[async_trait]
pub trait ImageModerator: Send + Sync {
    /// What there is to object to in it.
    async fn review_image(&self, image: &Image) -> Result<Vec<Finding>, Unavailable>;

    /// The categories that it knows.
    fn categories(&self) -> Vec<String>;
}

/// What becomes of a picture that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Its job fails.
    Block,
    /// It is made unrecognisable.
    Blur,
}

/// The judgement of a picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageDecision {
    pub findings: Vec<Finding>,
    pub refused: bool,
}

/// The whole hook.
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

    /// Judge a picture by the policy of this name.
    pub async fn review(&self, image: &Image, policy: Option<&str>) -> Result<ImageDecision, Unavailable> {
        let policy = self.policies.get(policy);
        let mut verdict = ImageDecision::default();
        for link in &self.links {
            let mut findings = link.review_image(image).await?;
            findings.retain(|finding| policy.notes(finding));
            verdict.refused = findings.iter().any(|finding| policy.refuses(finding));
            verdict.findings.extend(findings);
            if verdict.refused {
                break;
            }
        }
        Ok(verdict)
    }

    /// All categories that there are.
    #[must_use]
    pub fn categories(&self) -> BTreeSet<String> {
        self.links.iter().flat_map(|link| link.categories()).collect()
    }
}
