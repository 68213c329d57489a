//! The connection to the NATS servers.
//!
//! Invariant: once it was made, it is made again however often it breaks, and what cannot be sent meanwhile is dropped or
//! waits, within bounds.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, ServerAddr, jetstream};
use secrecy::ExposeSecret as _;
use tokio::sync::watch;

use super::names::Names;
use super::node::NatsBroker;
use super::streams::{Streams, failed};
use super::workers::read_reports;
use crate::broker::nats_config::NatsConfig;
use crate::broker::traits::{Broker, BrokerError};
use crate::broker::workers::{QueueReport, WorkerInfo};
use crate::clock::Clock;
use crate::store::JobStore;

/// The oldest server that hands work to idle workers first.
const OLDEST: (i64, i64, i64) = (2, 12, 0);
const TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that is silent for two of them is dead.
const PING: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Commands that wait while the connection is down.
const COMMANDS: usize = 65_536;

/// Connect, and take part in the fleet.
///
/// # Errors
/// No server answers, or one that is too old.
pub async fn connect_nats(
    config: NatsConfig,
    store: Arc<dyn JobStore>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Broker>, BrokerError> {
    let (client, connections) = connect(&config).await?;
    let names = Names::new(&config.prefix, &config.model);
    Ok(NatsBroker::start(config, (client, connections), names, store, clock).await?)
}

/// What a fleet tells of itself: the processes that work, and the queues. The process that asks takes no part in it.
///
/// # Errors
/// No server answers, or one that is too old.
pub async fn read_fleet(config: NatsConfig) -> Result<(Vec<WorkerInfo>, Vec<QueueReport>), BrokerError> {
    let (client, _) = connect(&config).await?;
    let names = Names::new(&config.prefix, &config.model);
    let streams = Streams::new(jetstream::new(client), names, config.replicas, config.lease);
    Ok((read_reports(&streams).await?, streams.queues().await?))
}

/// A client, and what changes with each of its connections.
async fn connect(config: &NatsConfig) -> Result<(Client, watch::Receiver<u64>), BrokerError> {
    let (made, connections) = watch::channel(0);
    let mut servers = Vec::new();
    for url in config.url.expose_secret().split(',').map(str::trim).filter(|url| !url.is_empty()) {
        // The parser's message may repeat the address, with the password in it.
        let server: ServerAddr = url.parse().map_err(|_| failed("NATS", &"an address is not valid"))?;
        servers.push(server);
    }
    let mut options = ConnectOptions::new()
        .name(format!("kandinsky {}", config.process))
        .connection_timeout(TIMEOUT)
        .ping_interval(PING)
        .client_capacity(COMMANDS)
        .subscription_capacity(COMMANDS)
        .reconnect_delay_callback(|attempts| {
            let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
            Duration::from_millis(50).saturating_mul(attempts).min(LONGEST_PAUSE)
        })
        .event_callback(move |event| {
            match event {
                async_nats::Event::Connected => {
                    tracing::info!("connected to NATS");
                    made.send_modify(|number| *number += 1);
                }
                async_nats::Event::Disconnected => tracing::warn!("the connection to NATS is lost; trying again"),
                other => tracing::debug!(event = %other, "NATS"),
            }
            std::future::ready(())
        });
    if let Some(file) = &config.credentials {
        let read = options.credentials_file(file).await;
        options = read.map_err(|error| failed("the credentials of NATS cannot be read", &error))?;
    }
    let client = options.connect(servers).await.map_err(|error| failed("NATS cannot be reached", &error))?;
    let (major, minor, patch) = OLDEST;
    if !client.is_server_compatible(major, minor, patch) {
        let found = client.server_info().version;
        return Err(failed("NATS", &format!("the server is {found}, and must be at least {major}.{minor}")));
    }
    Ok((client, connections))
}
