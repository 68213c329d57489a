//! The hooks: on prompts, asked before anything is queued, and on finished pictures, asked before any of them is kept.
//!
//! Invariant: a prompt or a picture passes only if every link has answered, or is set up to be done without.

mod concepts;
mod learn;
mod lexicon;
mod output;
mod prompts;
mod reading;
mod remote;
mod scripts;
mod term;
mod transport;

use async_trait::async_trait;

use crate::domain::Finding;

pub use concepts::{Classifier, Concept, Concepts, Embedder, PROBE};
pub use learn::{Example, learn};
pub use lexicon::{Lexicon, LexiconFiles};
pub use output::{Action, ImageDecision, ImageModerator, OutputModeration};
pub use prompts::{Policies, Policy, PromptDecision, PromptModeration};
pub use remote::{Breaker, ModerationReply, ModerationTransport, Remote, RemoteConfig, RemoteKind};
pub use transport::{Credentials, HttpModerationTransport};

/// A moderator does not answer, and nothing must pass without it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {link} moderation does not answer: {why}")]
pub struct Unavailable {
    pub link: &'static str,
    pub why: String,
}

/// A link of the chain: judges texts.
#[async_trait]
pub trait Moderator: Send + Sync {
    /// Its name in rules and metrics.
    fn name(&self) -> &'static str;

    /// What there is to object to in these texts, each with the number of its text.
    async fn review(&self, texts: &[&str]) -> Result<Vec<(usize, Finding)>, Unavailable>;

    /// The categories that it knows.
    fn categories(&self) -> Vec<String>;
}
