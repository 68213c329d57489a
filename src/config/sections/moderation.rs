//! What is refused, and by whom.

use std::path::PathBuf;

use secrecy::SecretString;
use strum::{EnumString, VariantNames};

use crate::config::readers;
use crate::config::rules::{self, Rule};
use crate::config::section::section;

section! {
    /// What is refused (docs/moderation.md).
    struct Moderation in "moderation" {
        /// What every text of a request passes through, in this order: "lexicon", "classifier", "remote". Empty: nothing is
        /// refused.
        chain: Vec<ModerationLink> as readers::list = vec!["lexicon"], Rule::Some(ModerationLink::VARIANTS);
        /// A folder of *.toml files with the lexicon's terms, which are read again when they change. Empty: the built-in ones,
        /// config/moderation/en.toml and ru.toml; a copy of these is a good start.
        lexicon: Option<PathBuf> as readers::optional_path = "", Rule::Text(rules::any);
        /// The classifier's concepts: a file that `kandinsky moderation learn` wrote.
        concepts: Option<PathBuf> as readers::optional_path = "", Rule::Text(rules::any);
        /// Findings of a lower score (0 to 1) are noted and not refused.
        threshold: f32 = 0.5, Rule::Number(0.0..=1.0);
        /// A TOML file of policies that keys may name: [name], threshold = 0.5, allow = ["category", ...]. Empty: none.
        policies: Option<PathBuf> as readers::optional_path = "", Rule::Text(rules::any);
        /// The address of the remote moderation.
        remote_url: String = "", Rule::Text(rules::optional_http_url);
        /// "openai" (OpenAI's moderations API, theirs or another's) or "webhook" (your own service, sent signed messages).
        remote_kind: RemoteService = "openai", Rule::OneOf(RemoteService::VARIANTS);
        /// The model, for OpenAI's API.
        remote_model: String = "omni-moderation-latest", Rule::Text(rules::any);
        /// The bearer token, or the secret of the signatures (whsec_ and base64) for a webhook.
        remote_key: SecretString as readers::secret = "", Rule::Secret(rules::any);
        /// Timeout of one attempt, s.
        remote_timeout_s: u64 = 5, Rule::Whole(1..=600);
        /// Attempts after the first one. A service that fails again and again is not called for a while.
        remote_retries: u32 = 1, Rule::Whole(0..=10);
        /// What happens to prompts and images while the service does not answer: "refuse" or "allow".
        remote_on_failure: OnFailure = "refuse", Rule::OneOf(OnFailure::VARIANTS);
        /// What happens to finished images that are refused: "off" (no moderation of images), "block" (the job fails) or "blur".
        results: ResultsAction = "off", Rule::OneOf(ResultsAction::VARIANTS);
        /// What finished images pass through, in this order: "classifier", "remote".
        results_chain: Vec<ResultsLink> as readers::list = vec!["classifier"], Rule::Some(ResultsLink::VARIANTS);
    }
}

/// What happens to finished images that are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum ResultsAction {
    /// Images are not moderated.
    Off,
    Block,
    Blur,
}

/// A link of the chain that finished images pass through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum ResultsLink {
    Classifier,
    Remote,
}

/// A link of the chain that prompts pass through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum ModerationLink {
    Lexicon,
    Classifier,
    Remote,
}

/// The protocol of the remote moderation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum RemoteService {
    /// OpenAI's moderations API.
    OpenAi,
    /// The operator's own, sent signed messages.
    Webhook,
}

/// What happens to prompts and images while the remote moderation does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum OnFailure {
    Refuse,
    Allow,
}
