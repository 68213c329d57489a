//! Moderation: of prompts, before anything is queued, and of finished images, before any of them is stored.
//!
//! Invariant: a prompt or an image passes only if every link has answered, or is configured to fail open.

mod concepts;
mod learn;
mod lexicon;
mod moderator;
mod output;
mod prompts;
mod reading;
mod remote;
mod scripts;
mod term;
mod transport;

pub use concepts::{Classifier, Concept, Concepts, Embedder, PROBE};
pub use learn::{Example, learn};
pub use lexicon::{Lexicon, LexiconFiles};
pub use moderator::{ImageModerator, Moderator, Unavailable};
pub use output::{Action, ImageDecision, OutputModeration};
pub use prompts::{Policies, Policy, PromptDecision, PromptModeration};
pub use remote::{ModerationReply, ModerationTransport, Remote, RemoteConfig, RemoteKind};
pub use transport::{Credentials, HttpModerationTransport};
