//! Puts the server together: store, jobs, routes, connections; and takes it apart in order.
//!
//! Invariant: the line that says the server is ready comes when it is; on the way down nothing that was accepted is lost.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;

use super::jobs::{broker, clocks, jobs_config};
use super::marking::encoder;
use super::memory::MemoryBounds;
use super::model::{remote_engine, start_noted_engine};
use super::moderation::Hooks;
use super::private::prepare_data_folder;
use super::translation::start_translation;
use super::webhooks::{self, webhooks};
use super::{descriptors, features, keys, roles, stores};
use crate::config::Config;
use crate::engine::Engine;
use crate::fetch::{self, FetchPolicy, Fetcher};
use crate::http::server::{ServerHandle, serve as serve_connections};
use crate::http::{self, AppContext, ConnectionLimits, HttpLimits, Readiness};
use crate::jobs::{JobBackends, JobService, Role};
use crate::journal::Journal;
use crate::shutdown::StopSignals;
use crate::store::JobStore;
use crate::tensor::files::Lookup;

/// Requests whose images or long texts are judged at once, outside of jobs; further ones wait.
const MAX_JUDGED: u64 = 8;
/// How long connections may take to end after the jobs have drained.
const LAST_RESPONSES: Duration = Duration::from_secs(5);

/// A server that answers requests.
pub struct RunningServer {
    /// Where it listens; a port that was taken from the free ones is filled in.
    pub address: SocketAddr,
    jobs: JobService,
    engine: Arc<Engine>,
    journal: Journal,
    readiness: Arc<Readiness>,
    shutdown_delay: Duration,
    drain_grace: Duration,
    handle: ServerHandle,
    connections: JoinHandle<std::io::Result<()>>,
}

/// Run a server until the process is asked to stop.
///
/// # Errors
/// Also when no worker is left: whatever runs the process starts it anew, on a device that may be well again.
pub async fn serve(config: Config, role: Role, embedded: Option<Lookup>, mut stop: StopSignals) -> anyhow::Result<()> {
    // Nothing is accepted or begun before it has started, so a start can be left at any point.
    let mut server = tokio::select! {
        () = stop.requested() => {
            tracing::info!("stopped before it was ready");
            return Ok(());
        }
        started = Box::pin(start_server(&config, role, embedded)) => started?,
    };
    tracing::info!(server.address = %server.address, "ready on http://{}", server.address);
    let (journal, engine) = (server.journal.clone(), server.engine.clone());
    tokio::select! {
        () = stop.requested() => {
            server.leave(stop.requested()).await;
            stop_at_once_if_asked_again(journal, stop);
            server.stop().await
        }
        () = engine.given_up() => {
            tracing::error!("no worker is left; stopping");
            drop(engine);
            server.leave(stop.requested()).await;
            stop_at_once_if_asked_again(journal, stop);
            server.stop().await?;
            anyhow::bail!("no worker is left: their models could not be loaded again")
        }
        ended = &mut server.connections => Ok(ended??),
    }
}

fn stop_at_once_if_asked_again(journal: Journal, mut stop: StopSignals) {
    tracing::info!("finishing what is running; ask again to stop at once");
    tokio::spawn(async move {
        stop.requested().await;
        tracing::warn!("stopped at once");
        journal.close();
        std::process::exit(1);
    });
}

/// Start a server, and give it back when it answers requests.
///
/// # Errors
/// Anything that keeps it from working as configured: an address that is taken, a store out of reach, a model that is not
/// there. Nothing is left running.
pub async fn start_server(config: &Config, role: Role, embedded: Option<Lookup>) -> anyhow::Result<RunningServer> {
    features::require(config)?;
    roles::require(config, role)?;
    let listen = &config.server.listen;
    let listener = listen.bind().with_context(|| format!("cannot listen on {listen}"))?;
    let address: SocketAddr = listener.local_addr()?;
    let health = match &config.server.health_listen {
        Some(health) => Some(health.bind().with_context(|| format!("cannot listen on {health}"))?),
        None => None,
    };
    let encoder = Arc::new(encoder(config)?);
    let (store, blobs) = stores::open(config).await?;
    let auth = keys::auth(config, store.clone()).await?;
    let hooks = Hooks::read(config)?;
    let translation = start_translation(config, embedded).await?;
    let journal = journal(config);
    let engine = Arc::new(match role {
        Role::Api => remote_engine(config, embedded).await?,
        Role::Server | Role::Worker => start_noted_engine(config, embedded, journal.clone()).await?,
    });
    let (moderation, output_moderation) = hooks.start(&engine).await?;
    let webhooks = if role.accepts() { webhooks(config)? } else { None };
    let check_policy = webhooks::policy(config);
    // With the model in it.
    let memory = MemoryBounds::find(config);
    let job_store: Arc<dyn JobStore> = store.clone();
    let (clock, lease_clock) = clocks(config, &job_store).await?;
    let jobs_config =
        jobs_config((config, role, &memory), encoder.clone(), output_moderation.clone(), journal.clone(), clock);
    let broker = broker((config, role), &engine.info().name, job_store, lease_clock).await?;
    let backends = JobBackends { generator: engine.clone(), broker, store, blobs, webhooks };
    let jobs = JobService::start(jobs_config, backends).await?;
    let readiness = Arc::new(Readiness::default());
    let running_engine = engine.clone();
    let context = AppContext {
        jobs: jobs.clone(),
        encoder,
        output_moderation,
        auth,
        embed_metadata: config.marking.embed_metadata,
        limits: config.limits.for_model(engine.info().native_size).with_usual_policy(config.model.path.is_empty()),
        engine,
        styles: config.load_styles()?,
        moderation,
        translation,
        fetcher: config.fetch.enabled.then(|| Fetcher::new(image_policy(config))).transpose()?,
        check_webhook: config.webhooks.enabled.then(|| -> Box<http::CheckUrl> {
            Box::new(move |url| {
                fetch::check_url(url, &check_policy)
                    .map_err(|error| error.explain(check_policy.allow_private, "webhooks.allow_private"))
            })
        }),
        public_url: config.server.public_url.clone(),
        web_dir: web_dir(config)?,
        max_body_bytes: config.server.max_body_bytes,
        decoding: http::DecodeBudget::new(memory.decoded, std::thread::available_parallelism().map_or(1, NonZero::get)),
        judging: http::JudgePlaces::new(MAX_JUDGED),
        readiness: readiness.clone(),
        started: jiff::Timestamp::now().as_millisecond(),
    };
    let limits = HttpLimits {
        max_body_bytes_in_flight: memory.bodies,
        body_timeout: Duration::from_secs(config.server.body_timeout_s),
        body_total_timeout: Duration::from_secs(config.server.body_total_timeout_s),
        min_body_rate: config.server.min_body_rate as u64,
        max_response_bytes_in_flight: memory.responses,
        max_streams_per_client: config.server.max_streams_per_client as u64,
        cors_origins: config.server.cors_origins.clone(),
        allowed_hosts: config.server.allowed_hosts.clone(),
        trusted_proxies: config.server.trusted_proxies.clone(),
    };
    let max_connections = descriptors::raise(memory.connections);
    let connections = ConnectionLimits {
        max_connections,
        max_per_address: match config.server.max_connections_per_address {
            0 => (max_connections * 3).div_ceil(4),
            most => most.min(max_connections),
        },
        header_timeout: Duration::from_secs(config.server.header_timeout_s),
        idle_timeout: Duration::from_secs(config.server.idle_timeout_s),
        write_timeout: Duration::from_secs(config.server.write_timeout_s),
    };
    let router = if role.accepts() {
        http::router(context.into(), &limits)
    } else {
        http::operations_router(context.into(), &limits)
    };
    let handle = ServerHandle::new();
    let connections = tokio::spawn(serve_connections(listener, health, router, connections, handle.clone()));
    let drain_grace = Duration::from_secs(config.server.drain_grace_s);
    let shutdown_delay = Duration::from_secs(config.server.shutdown_delay_s);
    Ok(RunningServer {
        address,
        jobs,
        engine: running_engine,
        journal,
        readiness,
        shutdown_delay,
        drain_grace,
        handle,
        connections,
    })
}

impl RunningServer {
    /// Say that the server is not ready, and serve on for the delay, or until `skip`: those who send requests here hear of it
    /// later than the server does.
    pub async fn leave(&self, skip: impl Future<Output = ()>) {
        self.readiness.leave();
        if self.shutdown_delay.is_zero() {
            return;
        }
        tracing::info!(
            server.shutdown_delay_s = self.shutdown_delay.as_secs(),
            "not ready any more, and still serving; ask again to go on at once"
        );
        tokio::select! {
            () = tokio::time::sleep(self.shutdown_delay) => {}
            () = skip => {}
        }
    }

    /// Stop as on SIGTERM: accept nothing more, finish what is running within the grace period, then end the connections.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.jobs.drain(self.drain_grace).await;
        self.handle.graceful_shutdown(Some(LAST_RESPONSES));
        self.connections.await??;
        tracing::info!("stopped");
        Ok(())
    }
}

/// The folder that is served in place of the editor in the binary.
fn web_dir(config: &Config) -> anyhow::Result<Option<PathBuf>> {
    let Some(folder) = config.web.dir.clone() else { return Ok(None) };
    let is_page = folder.join(http::EDITOR_INDEX).is_file();
    anyhow::ensure!(is_page, "web.dir: {} has no {}", folder.display(), http::EDITOR_INDEX);
    Ok(Some(folder))
}

/// Where the workers note what they execute. Without it, they work all the same.
fn journal(config: &Config) -> Journal {
    let folder = &config.server.data;
    // Where the stores are elsewhere, nothing else makes it.
    let opened = prepare_data_folder(folder).and_then(|()| Ok(Journal::open(&folder.join("step-journal"))?));
    opened.unwrap_or_else(|error| {
        tracing::warn!(%error, "what is executed cannot be noted: a job that kills the server is found out later");
        Journal::default()
    })
}

fn image_policy(config: &Config) -> FetchPolicy {
    FetchPolicy {
        allow_private: config.fetch.allow_private,
        allow_http: config.fetch.allow_private,
        timeout: Duration::from_secs(config.fetch.timeout_s),
        max_bytes: config.fetch.max_bytes as u64,
    }
}
