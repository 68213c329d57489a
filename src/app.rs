//! The composition root: the only file that knows everything.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::config::Config;
use crate::engine::{Engine, EngineConfig};
use crate::http::{self, AppState};
use crate::hub::{Hub, HubConfig};
use crate::model::Checkpoint;
use crate::model::files::Lookup;
use crate::shutdown;

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
        checkpoint: checkpoint(&config.model_path, embedded)?,
        device: config.device,
        dtype: config.dtype,
        inpainting: config.inpainting,
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

/// Resolves when the process is asked to stop; asked again, it stops at once.
async fn stop() {
    shutdown::requested().await;
    tracing::info!("finishing what is running; ask again to stop at once");
    tokio::spawn(async {
        shutdown::requested().await;
        tracing::warn!("stopped at once");
        std::process::exit(1);
    });
}

/// Run the server until it is asked to stop.
pub async fn serve(config: Config, embedded: Option<Lookup>) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let address: SocketAddr = listener.local_addr()?;
    let engine = Arc::new(start_engine(&config, embedded).await?);
    let state = AppState { engine, limits: Arc::new(config.limits.clone()) };
    let router = http::router(state, config.max_body_bytes);
    tracing::info!(server.address = %address, "ready on http://{address}");
    axum::serve(listener, router).with_graceful_shutdown(stop()).await?;
    tracing::info!("stopped");
    Ok(())
}
