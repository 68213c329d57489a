//! Finds the checkpoint that the configuration names, and loads it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::config::Config;
use crate::diffusion::DiffusionModel;
use crate::engine::{self, Engine, EngineConfig, ModelLoader};
use crate::families::{self, CheckpointSource, LoadOptions};
use crate::hub::{Hub, HubConfig};
use crate::journal::Journal;
use crate::tensor::files::Lookup;
use crate::tensor::{Compute, keep_freed_memory};

/// The name of the model inside the binary.
pub const EMBEDDED: &str = "kandinsky-mini";
/// Most bytes of encoded texts and images that are kept of it: a few dozen. It encodes them in no time, and is there to be small.
const EMBEDDED_CACHE_BYTES: usize = 32 << 20;
/// Least bytes of a step's activations that are kept for the next one: those of a small model's largest batch.
const LEAST_KEPT: usize = 64 << 20;

/// Find the checkpoint that the configuration names: a folder, repositories in the hub cache, or the embedded model.
pub fn checkpoint(path: &str, embedded: Option<Lookup>) -> anyhow::Result<CheckpointSource> {
    if path.is_empty() || path == EMBEDDED && !Path::new(path).exists() {
        let lookup = embedded.context("this build has no embedded model; name one with --model")?;
        return Ok(CheckpointSource::Embedded { name: EMBEDDED.to_owned(), lookup });
    }
    if Path::new(path).exists() {
        return Ok(CheckpointSource::Folder(path.into()));
    }
    if path.starts_with(['/', '.', '~']) {
        anyhow::bail!("{path}: no such folder");
    }
    let hub = Hub::new(HubConfig::from_env()?)?;
    let family = hub.cached(path).with_context(|| {
        format!(
            "{path}: no such folder, and no complete checkpoint of that id in the hub cache; try: kandinsky pull {path}"
        )
    })?;
    let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches("-prior").trim_end_matches("-inpaint");
    let prior = family.prior.with_context(|| format!("{path}: the hub cache has no {name}-prior"))?;
    let (main, inpaint) = (family.main, family.inpaint);
    Ok(CheckpointSource::Repositories { name: name.to_owned(), prior, main, inpaint })
}

/// The loader of that checkpoint.
pub(super) fn model_loader(config: &Config, embedded: Option<Lookup>) -> anyhow::Result<Arc<dyn ModelLoader>> {
    let source = checkpoint(&config.model.path, embedded)?;
    let usual = LoadOptions { inpainting: config.model.inpainting, ..LoadOptions::default() };
    let options = match source {
        CheckpointSource::Embedded { .. } => LoadOptions { cache_bytes: EMBEDDED_CACHE_BYTES, ..usual },
        _ => usual,
    };
    Ok(families::open(&source, options)?)
}

/// What the first worker that the configuration names would compute with.
pub fn compute(config: &Config) -> anyhow::Result<Compute> {
    let device = config.model.device.first().copied().unwrap_or_default();
    let model = &config.model;
    Ok(engine::compute(device, model.dtype, model.backend, (model.convolutions, model.precision))?)
}

/// Load the model on this thread.
pub fn load_model(
    config: &Config,
    embedded: Option<Lookup>,
    compute: &Compute,
) -> anyhow::Result<Box<dyn DiffusionModel>> {
    let model = model_loader(config, embedded)?.load(compute, &mut |_| {})?;
    keep_memory_of_steps(model.info().weight_bytes);
    Ok(model)
}

/// Have the memory of a step's activations kept for the next one: of the order of the model, so that a small one stays small.
fn keep_memory_of_steps(weight_bytes: usize) {
    keep_freed_memory((weight_bytes / 4).max(LEAST_KEPT));
}

/// Load the model, off the async threads.
pub async fn start_engine(config: &Config, embedded: Option<Lookup>) -> anyhow::Result<Engine> {
    start_noted_engine(config, embedded, Journal::default()).await
}

/// Describe the model whose workers are elsewhere.
pub(super) async fn remote_engine(config: &Config, embedded: Option<Lookup>) -> anyhow::Result<Engine> {
    let loader = model_loader(config, embedded)?;
    let info = tokio::task::spawn_blocking(move || loader.describe()).await??;
    Ok(Engine::remote(info))
}

/// Load the model; what the workers execute is noted in the journal.
pub(super) async fn start_noted_engine(
    config: &Config,
    embedded: Option<Lookup>,
    journal: Journal,
) -> anyhow::Result<Engine> {
    let loader = model_loader(config, embedded)?;
    let inventory = loader.inventory();
    for (component, place) in &inventory.absent {
        tracing::warn!(
            model.component = component,
            model.place = place,
            "the checkpoint has no {component} in {place}"
        );
    }
    for (mode, reason) in &inventory.unavailable {
        tracing::warn!(%mode, reason, "{mode} is off: {reason}");
    }
    let engine = EngineConfig {
        loader,
        devices: config.model.device.clone(),
        dtype: config.model.dtype,
        backend: config.model.backend,
        convolutions: config.model.convolutions,
        precision: config.model.precision,
        batching: config.engine.batching,
        journal,
    };
    let started = std::time::Instant::now();
    let engine = tokio::task::spawn_blocking(move || {
        Engine::start(engine, |component| tracing::debug!(model.component = component, "loading"))
    })
    .await??;
    let info = engine.info();
    keep_memory_of_steps(info.weight_bytes);
    tracing::info!(
        model.name = %info.name,
        model.native_size_px = info.native_size,
        model.weights_bytes = info.weight_bytes,
        model.device = engine.devices(),
        load.seconds = started.elapsed().as_secs_f64(),
        "model resident"
    );
    Ok(engine)
}
