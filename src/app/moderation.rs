//! Puts the chain of moderation together.
//!
//! Invariant: what cannot be read is found out before the server starts, and named by its key.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;

use crate::config::{Config, Moderation, ModerationLink, OnFailure, RemoteService};
use crate::moderation::{
    Breaker, Chain, Credentials, HttpPoster, LexiconFiles, Moderator, Policies, Policy, Remote, RemoteConfig,
    RemoteKind,
};

/// Between the first two attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// When a service that fails is left alone, and for how long.
const BREAKER: Breaker = Breaker { after: 3, pause: Duration::from_secs(15) };

/// The chain that the configuration asks for.
pub(super) fn chain(config: &Config) -> anyhow::Result<Chain> {
    let settings = &config.moderation;
    let links = settings.chain.iter().map(|link| match link {
        ModerationLink::Lexicon => {
            let files = LexiconFiles::open(settings.lexicon.as_deref());
            Ok(Arc::new(files.map_err(|error| anyhow!("moderation.lexicon: {error}"))?) as Arc<dyn Moderator>)
        }
        ModerationLink::Remote => Ok(Arc::new(remote(settings)?) as Arc<dyn Moderator>),
    });
    let links = links.collect::<anyhow::Result<Vec<_>>>()?;
    let named = |error: String| anyhow!("moderation.policies: {error}");
    let file = match &settings.policies {
        Some(path) => std::fs::read_to_string(path).map_err(|error| named(format!("{}: {error}", path.display())))?,
        None => String::new(),
    };
    let usual = Policy { threshold: settings.threshold, ..Policy::default() };
    Ok(Chain::new(links, Policies::new(usual, &file).map_err(named)?))
}

fn remote(settings: &Moderation) -> anyhow::Result<Remote> {
    let (kind, credentials) = match settings.remote_kind {
        RemoteService::OpenAi => (RemoteKind::OpenAi, Credentials::Bearer(settings.remote_key.clone())),
        RemoteService::Webhook => (RemoteKind::Webhook, Credentials::Signature(settings.remote_key.clone())),
    };
    let config = RemoteConfig {
        kind,
        model: settings.remote_model.clone(),
        retries: settings.remote_retries,
        pause: PAUSE,
        fail_open: settings.remote_on_failure == OnFailure::Allow,
        breaker: BREAKER,
    };
    let timeout = Duration::from_secs(settings.remote_timeout_s);
    let poster = HttpPoster::new(settings.remote_url.clone(), credentials, timeout);
    Ok(Remote::new(config, Arc::new(poster.map_err(|error| anyhow!("moderation.remote_url: {error}"))?)))
}
