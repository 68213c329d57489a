//! Puts the hooks of moderation together, and has their concepts learned.
//!
//! Invariant: what cannot be read, or does not fit the loaded model, is found out before the server starts, and named by
//! its key.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use async_trait::async_trait;
use backon::Retryable as _;

use crate::config::{Config, Moderation, ModerationLink, OnFailure, RemoteService, ResultsAction, ResultsLink};
use crate::domain::{Failure, FailureKind, Image};
use crate::engine::Engine;
use crate::imaging;
use crate::moderation::{
    Action, Classifier, Concepts, Credentials, Embedder, Example, HttpModerationTransport, ImageModerator,
    LexiconFiles, Moderator, OutputModeration, PROBE, Policies, Policy, PromptModeration, Remote, RemoteConfig,
    RemoteKind, learn,
};
use crate::retry::{BreakerPolicy, RetryPolicy};

/// Between attempts at asking a remote service.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// When a failing service is not asked for a while.
const BREAKER: BreakerPolicy = BreakerPolicy { after: 3, pause: Duration::from_secs(15) };
/// For asking the workers: long enough for a small model to be loaded again.
const ASK_RETRY: RetryPolicy = RetryPolicy::constant(Duration::from_millis(200)).at_most(10);

/// The hooks as configured; `check` reads the same files and starts nothing.
pub(super) struct Hooks {
    settings: Moderation,
    lexicon: Option<LexiconFiles>,
    policies: Policies,
    concepts: Option<Concepts>,
    remote: Option<Arc<Remote>>,
}

impl Hooks {
    /// Read the files that the configuration names.
    pub(super) fn read(config: &Config) -> anyhow::Result<Self> {
        let settings = config.moderation.clone();
        let asks = |link: ModerationLink, results: Option<ResultsLink>| {
            settings.chain.contains(&link)
                || settings.results != ResultsAction::Off
                    && results.is_some_and(|l| settings.results_chain.contains(&l))
        };
        let lexicon = asks(ModerationLink::Lexicon, None).then(|| LexiconFiles::open(settings.lexicon.as_deref()));
        let lexicon = lexicon.transpose().map_err(|error| anyhow!("moderation.lexicon: {error}"))?;
        let concepts = asks(ModerationLink::Classifier, Some(ResultsLink::Classifier)).then(|| concepts(&settings));
        let concepts = concepts.transpose().map_err(|error| anyhow!("moderation.concepts: {error}"))?;
        let remote = asks(ModerationLink::Remote, Some(ResultsLink::Remote)).then(|| remote(&settings)).transpose()?;
        let named = |error: String| anyhow!("moderation.policies: {error}");
        let file = match &settings.policies {
            Some(path) => {
                std::fs::read_to_string(path).map_err(|error| named(format!("{}: {error}", path.display())))?
            }
            None => String::new(),
        };
        let usual = Policy { threshold: settings.threshold, ..Policy::default() };
        let policies = Policies::new(usual, &file).map_err(named)?;
        Ok(Self { settings, lexicon, policies, concepts, remote: remote.map(Arc::new) })
    }

    /// The moderation of prompts and that of images, for this model.
    pub(super) async fn start(
        self,
        engine: &Arc<Engine>,
    ) -> anyhow::Result<(PromptModeration, Option<Arc<OutputModeration>>)> {
        let with_images = classifies_images(&self.settings);
        let classifier = match self.concepts {
            Some(concepts) => {
                check_fit(&concepts, engine, with_images)
                    .await
                    .map_err(|error| anyhow!("moderation.concepts: {error}"))?;
                Some(Arc::new(Classifier::new(concepts, Arc::new(Clip(engine.clone())))))
            }
            None => None,
        };
        let lexicon = self.lexicon.map(Arc::new);
        let links = self.settings.chain.iter().filter_map(|link| match link {
            ModerationLink::Lexicon => lexicon.clone().map(|link| link as Arc<dyn Moderator>),
            ModerationLink::Classifier => classifier.clone().map(|link| link as Arc<dyn Moderator>),
            ModerationLink::Remote => self.remote.clone().map(|link| link as Arc<dyn Moderator>),
        });
        let chain = PromptModeration::new(links.collect(), self.policies.clone());
        let action = match self.settings.results {
            ResultsAction::Off => return Ok((chain, None)),
            ResultsAction::Block => Action::Block,
            ResultsAction::Blur => Action::Blur,
        };
        let links = self.settings.results_chain.iter().filter_map(|link| match link {
            ResultsLink::Classifier => classifier.clone().map(|link| link as Arc<dyn ImageModerator>),
            ResultsLink::Remote => self.remote.clone().map(|link| link as Arc<dyn ImageModerator>),
        });
        Ok((chain, Some(Arc::new(OutputModeration::new(links.collect(), self.policies, action)))))
    }
}

fn concepts(settings: &Moderation) -> Result<Concepts, String> {
    let path = settings.concepts.as_deref().ok_or("names no file")?;
    let named = |error: String| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    let concepts = Concepts::parse(&text).map_err(named)?;
    if settings.chain.contains(&ModerationLink::Classifier) && concepts.texts.is_empty() {
        return Err(named("it has no concepts for texts".to_owned()));
    }
    if classifies_images(settings) && concepts.images.is_empty() {
        return Err(named("it has no concepts for images; learn them with --images".to_owned()));
    }
    Ok(concepts)
}

fn classifies_images(settings: &Moderation) -> bool {
    settings.results != ResultsAction::Off && settings.results_chain.contains(&ResultsLink::Classifier)
}

async fn check_fit(concepts: &Concepts, engine: &Engine, with_images: bool) -> Result<(), String> {
    if engine.info().clip_width.is_none() {
        return Err("the loaded model has no CLIP text encoder".to_owned());
    }
    if with_images && !engine.info().embeds_images {
        return Err("the loaded model has no CLIP image encoder".to_owned());
    }
    let probe = embed_text(engine, PROBE.to_owned()).await.map_err(|failure| failure.message)?;
    concepts.check_fit(&probe)
}

fn remote(settings: &Moderation) -> anyhow::Result<Remote> {
    let (kind, credentials) = match settings.remote_kind {
        RemoteService::OpenAi => (RemoteKind::OpenAi, Credentials::Bearer(settings.remote_key.clone())),
        RemoteService::Webhook => (RemoteKind::Webhook, Credentials::Signature(settings.remote_key.clone())),
    };
    let config = RemoteConfig {
        kind,
        model: settings.remote_model.clone(),
        retry: RetryPolicy::doubling(PAUSE, LONGEST_PAUSE).at_most(settings.remote_retries.saturating_add(1)),
        fail_open: settings.remote_on_failure == OnFailure::Allow,
        breaker: BREAKER,
    };
    let timeout = Duration::from_secs(settings.remote_timeout_s);
    let poster = HttpModerationTransport::new(settings.remote_url.clone(), credentials, timeout);
    Ok(Remote::new(config, Arc::new(poster.map_err(|error| anyhow!("moderation.remote_url: {error}"))?)))
}

/// The workers' CLIP.
pub struct Clip(pub Arc<Engine>);

impl Clip {
    /// Ask until a worker answers: one that was lost comes back.
    async fn ask<T, F: Future<Output = Result<T, Failure>>>(&self, ask: impl Fn() -> F) -> Result<T, String> {
        let is_transient = |failure: &Failure| matches!(failure.kind, FailureKind::Lost | FailureKind::Unavailable);
        let asked = ask.retry(ASK_RETRY.backoff()).when(is_transient).await;
        asked.map_err(|failure| failure.message)
    }
}

#[async_trait]
impl Embedder for Clip {
    async fn texts(&self, texts: &[&str]) -> Result<Vec<Vec<Vec<f32>>>, String> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        self.ask(|| self.0.embed_texts(texts.clone())).await
    }

    async fn images(&self, images: Vec<Image>) -> Result<Vec<Vec<f32>>, String> {
        self.ask(|| self.0.embed_images(images.clone())).await
    }
}

/// The embedding of a text, of its beginning if it is long.
async fn embed_text(engine: &Engine, text: String) -> Result<Vec<f32>, Failure> {
    let parts = engine.embed_texts(vec![text]).await?.into_iter().next().unwrap_or_default();
    parts.into_iter().next().ok_or_else(|| Failure::new(FailureKind::Internal, "a text has no embedding"))
}

/// The embedding of a whole image.
async fn embed_image(engine: &Engine, image: &Image) -> Result<Vec<f32>, Failure> {
    let whole = imaging::views(image).into_iter().take(1).collect();
    let embedding = engine.embed_images(whole).await?.into_iter().next();
    embedding.ok_or_else(|| Failure::new(FailureKind::Internal, "an image has no embedding"))
}

/// Texts, or images, each with the categories that it is an example of.
pub type Labelled<T> = Vec<(Vec<String>, T)>;

/// Learn concepts from labelled examples, with the thresholds where `precision` of what they flag is right.
pub async fn learn_concepts(
    engine: &Engine,
    texts: Labelled<String>,
    images: Labelled<Image>,
    precision: f32,
) -> anyhow::Result<Concepts> {
    let failed = |failure: Failure| anyhow!(failure.message);
    let probe = embed_text(engine, PROBE.to_owned()).await.map_err(failed)?;
    let (mut text_examples, mut image_examples) = (Vec::new(), Vec::new());
    for (categories, text) in texts {
        let embedding = embed_text(engine, text).await.map_err(failed)?;
        text_examples.push(Example { categories: categories.into_iter().collect(), embedding });
    }
    for (categories, image) in images {
        let embedding = embed_image(engine, &image).await.map_err(failed)?;
        image_examples.push(Example { categories: categories.into_iter().collect(), embedding });
    }
    let concepts_of = |what: &str, examples: &[Example]| {
        if examples.is_empty() {
            return Ok(Vec::new());
        }
        learn(examples, precision).map_err(|error| anyhow!("{what}: {error}"))
    };
    if text_examples.is_empty() && image_examples.is_empty() {
        bail!("there are no examples");
    }
    let concepts = Concepts {
        model: engine.info().name.clone(),
        probe,
        texts: concepts_of("texts", &text_examples)?,
        images: concepts_of("images", &image_examples)?,
    };
    concepts.check().map_err(anyhow::Error::msg)?;
    Ok(concepts)
}
