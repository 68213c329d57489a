//! Puts the server together: store, queue, routes, connections; and takes it apart in order.
//!
//! Invariant: the line that says the server is ready comes when it is; on the way down nothing that was accepted is lost.

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use axum_server::Handle;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::moderation::Hooks;
use super::{encoder, keys, secret, start_engine, stores};
use crate::broker::{Broker, LocalBroker, LocalConfig};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, StoreLocation};
use crate::fetch::{self, FetchPolicy, Fetcher};
use crate::http::server::serve as serve_connections;
use crate::http::{self, AppContext, ConnectionLimits, HttpLimits};
use crate::imaging::Encoder;
use crate::jobs::{Capacity, JobBackends, JobService, JobsConfig, WebhookConfig, WebhookTransport};
use crate::moderation::OutputModeration;
use crate::shutdown;
use crate::store::JobStore;
use crate::tensor::files::Lookup;

/// Requests whose pictures are judged at once without being drawn from; the others wait.
const MOST_JUDGED: usize = 8;
/// How long connections may take to end after the queue has drained.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

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
    let listener = std::net::TcpListener::bind(config.server.listen)
        .with_context(|| format!("cannot listen on {}", config.server.listen))?;
    let address: SocketAddr = listener.local_addr()?;
    let encoder = Arc::new(encoder(&config)?);
    let (store, blobs) = stores::open(&config).await?;
    let auth = keys::auth(&config, store.clone()).await?;
    let hooks = Hooks::read(&config)?;
    let engine = Arc::new(start_engine(&config, embedded).await?);
    let (moderation, output_moderation) = hooks.start(&engine).await?;
    let webhooks = webhooks(&config)?;
    let check_policy = webhook_policy(&config);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let jobs_config = jobs_config(&config, encoder.clone(), output_moderation.clone(), clock.clone());
    let broker = broker(&config, store.clone(), clock);
    let backends = JobBackends { generator: engine.clone(), broker, store, blobs, webhooks };
    let jobs = JobService::start(jobs_config, backends).await?;
    let context = AppContext {
        jobs: jobs.clone(),
        encoder,
        output_moderation,
        auth,
        limits: config.limits.for_model(engine.info().native_size),
        engine,
        styles: config.load_styles()?,
        moderation,
        fetcher: config.fetch.enabled.then(|| Fetcher::new(picture_policy(&config))).transpose()?,
        check_webhook: config.webhooks.enabled.then(|| -> Box<http::CheckUrl> {
            Box::new(move |url| fetch::check_url(url, &check_policy).map_err(|error| error.to_string()))
        }),
        public_url: config.server.public_url.clone(),
        max_body_bytes: config.server.max_body_bytes,
        decoding: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get))),
        judging: Arc::new(Semaphore::new(MOST_JUDGED)),
        started: jiff::Timestamp::now().as_millisecond(),
    };
    let limits = HttpLimits {
        max_body_bytes_in_flight: config.server.max_body_bytes_in_flight as u64,
        body_timeout: Duration::from_secs(config.server.body_timeout_s),
        cors_origins: config.server.cors_origins.clone(),
    };
    let connections = ConnectionLimits {
        max_connections: config.server.max_connections,
        header_timeout: Duration::from_secs(config.server.header_timeout_s),
    };
    let router = http::router(context.into(), &limits);
    let handle = Handle::new();
    let mut serving = tokio::spawn(serve_connections(listener, router, connections, handle.clone()));
    tracing::info!(server.address = %address, "ready on http://{address}");
    tokio::select! {
        () = stop() => {}
        ended = &mut serving => return Ok(ended??),
    }
    jobs.drain(Duration::from_secs(config.server.drain_grace_s)).await;
    handle.graceful_shutdown(Some(LAST_ANSWERS));
    serving.await??;
    tracing::info!("stopped");
    Ok(())
}

fn jobs_config(
    config: &Config,
    encoder: Arc<Encoder>,
    output_moderation: Option<Arc<OutputModeration>>,
    clock: Arc<dyn Clock>,
) -> JobsConfig {
    JobsConfig {
        capacity: Capacity {
            jobs: config.queue.max_jobs as u64,
            cost: config.queue.cost_limit(),
            input_bytes: config.queue.max_input_bytes as u64,
        },
        max_images_in_flight: u32::try_from(config.engine.max_pictures_in_flight).unwrap_or(u32::MAX),
        most_losses: i64::from(config.queue.most_losses),
        ttl: Duration::from_secs(config.jobs.ttl_s),
        forget_after: Duration::from_secs(config.jobs.forget_after_s),
        clean_interval: Duration::from_secs(config.jobs.clean_interval_s),
        public_url: config.server.public_url.clone(),
        // A folder's SQLite belongs to one process, which holds its lock.
        exclusive: matches!(config.store_location(), StoreLocation::Sqlite(_)),
        encoder,
        output_moderation,
        clock,
    }
}

/// What brings jobs to workers: the only place that names an implementation.
fn broker(config: &Config, store: Arc<dyn JobStore>, clock: Arc<dyn Clock>) -> Arc<dyn Broker> {
    let lease = Duration::from_secs(config.queue.lease_s);
    Arc::new(LocalBroker::new(LocalConfig { process: Uuid::now_v7().to_string(), lease }, store, clock))
}

fn webhook_policy(config: &Config) -> FetchPolicy {
    FetchPolicy {
        allow_private: config.webhooks.allow_private,
        allow_http: config.webhooks.allow_private,
        timeout: Duration::from_secs(config.webhooks.timeout_s),
        max_bytes: 0,
    }
}

fn picture_policy(config: &Config) -> FetchPolicy {
    FetchPolicy {
        allow_private: config.fetch.allow_private,
        allow_http: config.fetch.allow_private,
        timeout: Duration::from_secs(config.fetch.timeout_s),
        max_bytes: config.fetch.max_bytes as u64,
    }
}

/// Carries webhooks with the client that stays out of private networks.
struct WebhookFetcher(Fetcher);

#[async_trait]
impl WebhookTransport for WebhookFetcher {
    async fn post(&self, url: &str, headers: &[(&str, String)], body: Vec<u8>) -> Result<u16, String> {
        self.0.post(url, headers, body).await.map_err(|error| error.to_string())
    }
}

fn webhooks(config: &Config) -> anyhow::Result<Option<(WebhookConfig, Arc<dyn WebhookTransport>)>> {
    if !config.webhooks.enabled {
        return Ok(None);
    }
    let secret = secret::webhooks(&config.webhooks.secret, &config.server.data)?;
    let transport: Arc<dyn WebhookTransport> = Arc::new(WebhookFetcher(Fetcher::new(webhook_policy(config))?));
    let webhooks = WebhookConfig::new(&secret, config.webhooks.max_attempts).context("webhooks.secret")?;
    Ok(Some((webhooks, transport)))
}
