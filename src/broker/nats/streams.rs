//! What has to be there on the NATS servers: the stream of jobs with a consumer for each queue, and the last events and reports.
//!
//! Invariant: it is made where it is missing, also while the process runs: a server may come back with nothing. Without the
//! streams of events and reports, all but the past of events and the list of workers works.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PriorityPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{Context, Message};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::Mutex;

use super::names::{Names, queue_of, text_of};
use crate::broker::pull_order::QueueName;
use crate::broker::traits::BrokerError;
use crate::broker::workers::{FORGOTTEN_AFTER, QueueReport};

/// The one group of workers of a consumer; JetStream wants a name for it.
pub(super) const WORKERS: &str = "workers";
/// JetStream's own bounds are too low for a fleet (1000 and 512), and the second cannot be changed later.
const MOST_UNACKNOWLEDGED: i64 = 100_000;
const MOST_WAITING: i64 = 16_384;
/// It is looked for so often at most.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a job's last event is kept for those who come back to it, and for how many jobs.
const EVENTS_KEPT: Duration = Duration::from_mins(15);
const MOST_EVENTS: i64 = 500_000;
/// How long a reader of such a stream stays known to the servers, and what it reads at once.
const READER: Duration = Duration::from_secs(5);
const PAGE: usize = 1000;

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
        for kept in [self.events_stream().await, self.workers_stream().await] {
            if let Err(error) = kept {
                tracing::warn!(%error, "events and reports of workers are not kept");
            }
        }
        *checked = Some(Instant::now());
        Ok(())
    }

    /// The last event of each job.
    pub(super) async fn events_stream(&self) -> Result<Stream, BrokerError> {
        let config = Config { max_age: EVENTS_KEPT, max_messages: MOST_EVENTS, ..last_of_each() };
        self.kept_stream(self.names.events_stream(), self.names.owner_states(None), config).await
    }

    /// The last report of each process that works.
    pub(super) async fn workers_stream(&self) -> Result<Stream, BrokerError> {
        let config = Config { max_age: FORGOTTEN_AFTER, ..last_of_each() };
        self.kept_stream(self.names.workers_stream(), self.names.all_workers(), config).await
    }

    async fn kept_stream(&self, name: String, subjects: String, config: Config) -> Result<Stream, BrokerError> {
        let config = Config { name, subjects: vec![subjects], ..config };
        let stream = self.context.get_or_create_stream(config).await;
        stream.map_err(|error| failed("a stream cannot be opened", &error))
    }

    /// The reports of workers, to be read: nothing is made.
    pub(super) async fn reports(&self) -> Result<Stream, BrokerError> {
        let stream = self.context.get_stream(self.names.workers_stream()).await;
        stream.map_err(|error| failed("there are no reports of workers under this prefix", &error))
    }

    /// How many jobs there are in each queue of each model. Nothing is made.
    pub(super) async fn queues(&self) -> Result<Vec<QueueReport>, BrokerError> {
        let unreadable = |error: &dyn std::fmt::Display| failed("the queues cannot be read", error);
        let stream = self.context.get_stream(self.names.jobs_stream()).await.map_err(|error| unreadable(&error))?;
        let consumers: Vec<_> = stream.consumers().try_collect().await.map_err(|error| unreadable(&error))?;
        let mut queues = Vec::new();
        for consumer in consumers {
            let Some((model, queue)) = queue_of(&consumer.name) else { continue };
            let report = QueueReport {
                model: text_of(model),
                priority: queue.priority,
                group: queue.group,
                waiting: consumer.num_pending,
                in_flight: consumer.num_ack_pending as u64,
                redelivered: consumer.num_redelivered as u64,
            };
            queues.push(report);
        }
        let order = |queue: &QueueReport| (queue.model.clone(), Reverse(queue.priority.level()), queue.group);
        queues.sort_by_key(order);
        Ok(queues)
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

/// What a stream is that keeps the last message of each subject, in memory and on one server: it is made anew all the time.
fn last_of_each() -> Config {
    Config { storage: StorageType::Memory, max_messages_per_subject: 1, num_replicas: 1, ..Config::default() }
}

/// What a stream of last messages has under these subjects, in the order in which it came.
pub(super) async fn last_messages(stream: &Stream, subjects: String) -> Result<Vec<Message>, BrokerError> {
    let unreadable = |error: &dyn std::fmt::Display| failed("what is kept cannot be read", error);
    let config = pull::Config {
        filter_subject: subjects,
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::None,
        inactive_threshold: READER,
        memory_storage: true,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(|error| unreadable(&error))?;
    let mut left = usize::try_from(consumer.cached_info().num_pending).unwrap_or(PAGE);
    let mut found = Vec::new();
    while left > 0 {
        let before = found.len();
        let batch = consumer.fetch().max_messages(left.min(PAGE)).messages();
        let mut messages = batch.await.map_err(|error| unreadable(&error))?;
        while let Some(message) = messages.next().await {
            found.push(message.map_err(|error| unreadable(&error))?);
        }
        let read = found.len() - before;
        if read == 0 {
            break;
        }
        left = left.saturating_sub(read);
    }
    Ok(found)
}
