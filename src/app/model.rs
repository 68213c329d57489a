//! Finds the checkpoint that the configuration names, and loads it.

use std::path::Path;

use anyhow::Context as _;

use crate::config::Config;
use crate::engine::{Engine, EngineConfig};
use crate::families::kandinsky21::Checkpoint;
use crate::hub::{Hub, HubConfig};
use crate::tensor::files::Lookup;

/// The name of the model inside the binary.
pub const EMBEDDED: &str = "kandinsky-mini";

/// Find the checkpoint that the configuration names: a folder, a family in the hub cache, or the embedded model.
pub fn checkpoint(path: &str, embedded: Option<Lookup>) -> anyhow::Result<Checkpoint> {
    if path.is_empty() || path == EMBEDDED && !Path::new(path).exists() {
        let lookup = embedded.context("this build has no embedded model; name one with --model")?;
        return Ok(Checkpoint::embedded(EMBEDDED, lookup));
    }
    if Path::new(path).exists() {
        return Ok(Checkpoint::find(Path::new(path))?);
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
    Ok(Checkpoint::from_folders(name, prior, family.main, family.inpaint))
}

/// Load the model, off the async threads.
pub async fn start_engine(config: &Config, embedded: Option<Lookup>) -> anyhow::Result<Engine> {
    let engine = EngineConfig {
        checkpoint: checkpoint(&config.model.path, embedded)?,
        devices: config.model.device.clone(),
        dtype: config.model.dtype,
        backend: config.model.backend,
        inpainting: config.model.inpainting,
        batching: config.engine.batching,
        fault: None,
    };
    let started = std::time::Instant::now();
    let engine = tokio::task::spawn_blocking(move || {
        Engine::start(engine, |component| tracing::debug!(model.component = component, "loading"))
    })
    .await??;
    let info = engine.info();
    tracing::info!(
        model.name = %info.name,
        model.native_size_px = info.native_size,
        model.weights_bytes = info.weight_bytes,
        model.device = %info.device,
        load.seconds = started.elapsed().as_secs_f64(),
        "model resident"
    );
    Ok(engine)
}
