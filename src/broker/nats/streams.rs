//! What has to be there on the NATS servers: the stream of jobs, and a consumer for each queue.
//!
//! Invariant: it is made where it is missing, also while the process runs: a server may come back with nothing.

use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, PriorityPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType, Stream};
use tokio::sync::Mutex;

use super::names::Names;
use crate::broker::pull_order::QueueName;
use crate::broker::traits::BrokerError;

/// The one group of workers of a consumer; JetStream wants a name for it.
pub(super) const WORKERS: &str = "workers";
/// JetStream's own bounds are too low for a fleet (1000 and 512), and the second cannot be changed later.
const MOST_UNACKNOWLEDGED: i64 = 100_000;
const MOST_WAITING: i64 = 16_384;
/// It is looked for so often at most.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Streams {
    context: Context,
    names: Names,
    replicas: usize,
    lease: Duration,
    checked: Mutex<Option<Instant>>,
}

/// What NATS did not do.
pub(super) fn failed(what: &str, error: &dyn std::fmt::Display) -> BrokerError {
    BrokerError { message: format!("{what}: {error}"), is_full: false }
}

impl Streams {
    pub(super) fn new(context: Context, names: Names, replicas: usize, lease: Duration) -> Self {
        Self { context, names, replicas, lease, checked: Mutex::new(None) }
    }

    /// The stream of jobs, made if it is missing.
    async fn stream(&self) -> Result<Stream, BrokerError> {
        let config = Config {
            name: self.names.jobs_stream(),
            subjects: vec![self.names.all_jobs()],
            retention: RetentionPolicy::WorkQueue,
            storage: StorageType::File,
            num_replicas: self.replicas,
            ..Config::default()
        };
        let stream = self.context.get_or_create_stream(config).await;
        stream.map_err(|error| failed("the stream of jobs cannot be opened", &error))
    }

    /// Make what is missing, unless that was done a moment ago.
    pub(super) async fn ensure(&self) -> Result<(), BrokerError> {
        let mut checked = self.checked.lock().await;
        if checked.is_some_and(|at| at.elapsed() < PAUSE) {
            return Ok(());
        }
        let stream = self.stream().await?;
        for queue in QueueName::all() {
            self.consumer_in(&stream, queue).await?;
        }
        *checked = Some(Instant::now());
        Ok(())
    }

    /// The consumer of a queue.
    pub(super) async fn consumer(&self, queue: QueueName) -> Result<PullConsumer, BrokerError> {
        let stream = self.stream().await?;
        self.consumer_in(&stream, queue).await
    }

    async fn consumer_in(&self, stream: &Stream, queue: QueueName) -> Result<PullConsumer, BrokerError> {
        let name = self.names.consumer(queue);
        let config = pull::Config {
            durable_name: Some(name.clone()),
            filter_subject: self.names.queue(queue),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.lease,
            // The store counts how often a job is lost, and why.
            max_deliver: -1,
            max_ack_pending: MOST_UNACKNOWLEDGED,
            max_waiting: MOST_WAITING,
            priority_policy: PriorityPolicy::Prioritized,
            priority_groups: vec![WORKERS.to_owned()],
            ..pull::Config::default()
        };
        let consumer = stream.get_or_create_consumer(&name, config).await;
        consumer.map_err(|error| failed("a queue of jobs cannot be opened", &error))
    }

    /// Jobs in the stream: those that wait, and those that workers have.
    pub(super) async fn jobs(&self) -> Result<u64, BrokerError> {
        let stream = self.stream().await?;
        let info = stream.get_info().await.map_err(|error| failed("the stream of jobs does not answer", &error))?;
        Ok(info.state.messages)
    }
}
