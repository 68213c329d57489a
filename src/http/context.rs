//! What handlers share.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use super::decoding::DecodeBudget;
use super::judging::JudgePlaces;
use super::readiness::Readiness;
use crate::auth::Auth;
use crate::domain::Limits;
use crate::engine::Engine;
use crate::fetch::Fetcher;
use crate::imaging::Encoder;
use crate::jobs::JobService;
use crate::moderation::{OutputModeration, PromptModeration};
use crate::modes::Style;
use crate::translation::Translation;

/// Whether a webhook may be sent to a URL, and why not.
pub type CheckUrl = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// What handlers share: the application, as the composition root put it together.
pub struct AppContext {
    /// Accepts jobs, and knows those there are.
    pub jobs: JobService,
    /// Encodes image files, with the marks that the operator configured.
    pub encoder: Arc<Encoder>,
    /// Moderation of finished images and of those sent to `/v1/moderations`; None: that is off.
    pub output_moderation: Option<Arc<OutputModeration>>,
    /// API keys; None: callers need none.
    pub auth: Option<Auth>,
    /// Runs the model, and describes it.
    pub engine: Arc<Engine>,
    /// Whether images carry their parameters and seed where a request does not say.
    pub embed_metadata: bool,
    /// Bounds of requests, for the loaded model.
    pub limits: Limits,
    pub styles: Vec<Style>,
    /// Judges prompts.
    pub moderation: PromptModeration,
    /// Translates prompts; None: they are drawn as they are.
    pub translation: Option<Arc<Translation>>,
    /// Fetches images from `https://` URLs; None: that is off.
    pub fetcher: Option<Fetcher>,
    /// Checks the URLs of webhooks; None: webhooks are off.
    pub check_webhook: Option<Box<CheckUrl>>,
    /// The address of this server in URLs, perhaps with a path; empty: the one that the client used.
    pub public_url: String,
    /// A folder whose files are served as the editor in place of those compiled in.
    pub web_dir: Option<PathBuf>,
    /// Most bytes of one request's body.
    pub max_body_bytes: usize,
    /// Memory for pixels that are being decoded, or are decoded and not yet admitted.
    pub decoding: DecodeBudget,
    /// Places for requests whose texts or images are being judged.
    pub judging: JudgePlaces,
    /// Whether the server is ready.
    pub readiness: Arc<Readiness>,
    /// When the server started, ms since 1970.
    pub started: i64,
}

/// [`AppContext`] as axum's state.
#[derive(Clone)]
pub struct AppState(Arc<AppContext>);

impl From<AppContext> for AppState {
    fn from(context: AppContext) -> Self {
        Self(Arc::new(context))
    }
}

impl Deref for AppState {
    type Target = AppContext;

    fn deref(&self) -> &AppContext {
        &self.0
    }
}
