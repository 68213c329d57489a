//! Finds the translator that the configuration names, and starts it.
//!
//! Invariant: a translator that is configured and not there is found out before the server starts, and named by its key.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use super::model::EMBEDDED;
use crate::config::{Config, OnFailure, Translate, TranslateBackend};
use crate::hub::{self, Hub, HubConfig};
use crate::retry::{BreakerPolicy, RetryPolicy};
use crate::tensor::files::{Folder, Lookup};
use crate::translation::{
    LanguagePair, LibreTranslate, LibreTranslateConfig, Marian, Target, Translation, TranslationConfig, Translator,
};

/// Between attempts at asking a service.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// When a failing translator is not asked for a while.
const BREAKER: BreakerPolicy = BreakerPolicy { after: 3, pause: Duration::from_secs(15) };
/// The folder of the embedded model's translator for a pair of languages.
const EMBEDDED_FOLDER: &str = "translate-";

/// A translator that was found, and not yet loaded.
pub(super) enum Found {
    Model(Folder),
    Service(LibreTranslate),
}

/// Find the translator that the configuration names. `None`: texts are not translated.
pub(super) fn find(config: &Config, embedded: Option<Lookup>) -> anyhow::Result<Option<Found>> {
    let settings = &config.translate;
    match settings.backend {
        TranslateBackend::Off => Ok(None),
        TranslateBackend::Marian => {
            let folder = marian_folder(config, embedded).context("translate.model")?;
            Ok(Some(Found::Model(folder)))
        }
        TranslateBackend::LibreTranslate => {
            let service = LibreTranslateConfig {
                url: settings.url.clone(),
                key: settings.key.clone(),
                timeout: Duration::from_secs(settings.timeout_s),
                retry: RetryPolicy::doubling(PAUSE, LONGEST_PAUSE).at_most(settings.retries.saturating_add(1)),
            };
            let service = LibreTranslate::new(service, languages(settings));
            Ok(Some(Found::Service(service.map_err(|error| anyhow!("translate.url: {error}"))?)))
        }
    }
}

/// Start the translator that the configuration names; its model is read off the async threads. `None`: texts are not translated.
pub async fn start_translation(config: &Config, embedded: Option<Lookup>) -> anyhow::Result<Option<Arc<Translation>>> {
    let Some(found) = find(config, embedded)? else { return Ok(None) };
    let started = std::time::Instant::now();
    let translator: Arc<dyn Translator> = match found {
        Found::Service(service) => Arc::new(service),
        Found::Model(folder) => {
            let target = config.translate.target.clone();
            let loading = tokio::task::spawn_blocking(move || Marian::start(&folder, Target::of(&target)));
            Arc::new(loading.await?.context("translate.model, translate.target")?)
        }
    };
    let settings = &config.translate;
    let languages = languages(settings);
    tracing::info!(
        translate.backend = translator.name(),
        translate.languages = %languages,
        load.seconds = started.elapsed().as_secs_f64(),
        "prompts are translated"
    );
    let service = TranslationConfig {
        languages,
        when: settings.when,
        apply_to: settings.apply_to,
        fail_open: settings.on_failure == OnFailure::Allow,
        timeout: Duration::from_secs(settings.timeout_s),
        breaker: BREAKER,
        cache_bytes: settings.cache_bytes,
    };
    Ok(Some(Arc::new(Translation::new(service, translator))))
}

fn languages(settings: &Translate) -> LanguagePair {
    LanguagePair { from: settings.from.clone(), to: settings.to.clone() }
}

/// The folder of the Marian model: the one that is named, the embedded model's own, or the published one in the hub cache.
fn marian_folder(config: &Config, embedded: Option<Lookup>) -> anyhow::Result<Folder> {
    let settings = &config.translate;
    let is_embedded = config.model.path.is_empty() || config.model.path == EMBEDDED;
    if let (true, true, Some(lookup)) = (settings.model.is_empty(), is_embedded, embedded) {
        let prefix = format!("{EMBEDDED_FOLDER}{}", languages(settings));
        let folder = Folder::Embedded { lookup, prefix };
        if folder.has("config.json") {
            return Ok(folder);
        }
    }
    let published = || hub::published_translator(&settings.from, &settings.to);
    let id = if settings.model.is_empty() { published() } else { settings.model.clone() };
    if Path::new(&id).is_dir() {
        return Ok(Folder::Disk(id.into()));
    }
    if id.starts_with(['/', '.', '~']) {
        anyhow::bail!("{id}: no such folder");
    }
    let cached = Hub::new(HubConfig::from_env()?)?.cached_translator(&id);
    let cached = cached.with_context(|| {
        format!("{id}: no such folder, and no complete translation model of that id in the hub cache; try: kandinsky pull --translator {id}")
    })?;
    Ok(Folder::Disk(cached))
}
