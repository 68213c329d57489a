//! The broker of one process of a fleet.
//!
//! Invariant: a message is acknowledged once its job has ended in the store, and not before.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_nats::connection::State as ConnectionState;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, AckKind, Context, Message};
use async_nats::{Client, HeaderValue};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use super::bus::{NatsBus, Wires};
use super::names::Names;
use super::pull::{Held, Pulls};
use super::relay::{Importance, Relay};
use super::streams::{Streams, failed};
use super::wire::WireWork;
use super::workers::Workers;
use crate::broker::feed::Feed;
use crate::broker::nats_config::NatsConfig;
use crate::broker::pull_order::QueueName;
use crate::broker::traits::{Broker, BrokerError, Claim, Claimed, EventBus, Place, QueuedWork, Release, Room};
use crate::broker::workers::{FleetReport, WorkerReport};
use crate::clock::Clock;
use crate::store::{Backlog, JobEnd, JobStore, Lease, StoreError};
use crate::{metrics, telemetry};

/// How long NATS may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How often it is counted what waits, for those who ask how long it will take.
const COUNT: Duration = Duration::from_secs(1);
/// Jobs whose places are told while they wait; those behind them are told when they have come so far.
const MOST_PLACES: u32 = 1000;
/// Leases are extended this often while they last.
const EXTENSIONS_PER_LEASE: u32 = 3;
const SHORTEST_EXTENSION_INTERVAL: Duration = Duration::from_millis(50);
/// When a job that another worker has is looked at again: after that one's lease, if it is dead.
const TAKEN: Duration = Duration::from_secs(2);

/// A job that was published or claimed here.
#[derive(Clone, Default)]
struct Known {
    /// Cancels its claims, each of which has a child of it.
    cancel: CancellationToken,
    /// Whether it goes on when this process stops, without a client that waits for it.
    is_detached: bool,
}

/// See the module.
pub(super) struct NatsBroker {
    config: NatsConfig,
    store: Arc<dyn JobStore>,
    clock: Arc<dyn Clock>,
    client: Client,
    context: Context,
    names: Names,
    relay: Relay,
    streams: Arc<Streams>,
    pulls: Arc<Pulls>,
    bus: NatsBus,
    known: Arc<Mutex<HashMap<Uuid, Known>>>,
    /// Messages of the claims that are executed here, with their epochs.
    claims: Mutex<HashMap<Uuid, (i64, Message)>>,
    workers: Workers,
    /// `None`: it is not counted here, or was not yet.
    backlog: Mutex<Option<Backlog>>,
    /// Those that wait and are listened to here, as of the last count.
    places: Mutex<Vec<Place>>,
    is_closed: AtomicBool,
    stop: CancellationToken,
}

impl NatsBroker {
    /// See to what has to be there on the servers, and listen.
    pub(super) async fn start(
        config: NatsConfig,
        (client, connections): (Client, watch::Receiver<u64>),
        names: Names,
        store: Arc<dyn JobStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, BrokerError> {
        let mut context = jetstream::new(client.clone());
        context.set_timeout(ANSWER);
        let streams = Streams::new(context.clone(), names.clone(), config.replicas, config.lease);
        let streams = Arc::new(streams);
        streams.ensure().await?;
        let relay = Relay::new(client.clone());
        let pulls = Pulls::new(streams.clone(), config.lease, connections.clone());
        let wires = Wires { relay: relay.clone(), streams: streams.clone(), connections };
        let bus = NatsBus::new(Feed::new(clock.clone()), (store.clone(), config.lease), names.clone(), wires);
        let broker = Arc::new(Self {
            pulls,
            known: Arc::default(),
            claims: Mutex::default(),
            workers: Workers::new(names.clone(), relay.clone()),
            backlog: Mutex::default(),
            places: Mutex::default(),
            is_closed: false.into(),
            stop: CancellationToken::new(),
            config,
            store,
            clock,
            client,
            context,
            names,
            relay,
            streams,
            bus,
        });
        broker.hear_cancellations();
        if broker.config.accepts {
            broker.workers.listen(broker.streams.clone(), broker.stop.clone());
            tokio::spawn(count_backlog(Arc::downgrade(&broker)));
        }
        Ok(broker)
    }

    /// Cancel what is known here of what others ask to cancel.
    fn hear_cancellations(&self) {
        let (known, stop) = (self.known.clone(), self.stop.clone());
        self.relay.listen(self.names.cancel(), move |mut heard| {
            tokio::spawn(async move {
                loop {
                    let message = tokio::select! {
                        () = stop.cancelled() => return,
                        message = heard.next() => message,
                    };
                    let Some(message) = message else { return };
                    let job = std::str::from_utf8(&message.payload).ok().and_then(|text| text.parse::<Uuid>().ok());
                    if let Some(known) = job.and_then(|job| known.lock().get(&job).cloned()) {
                        known.cancel.cancel();
                    }
                }
            });
        });
    }

    fn cancel_here(&self, job: Uuid) {
        let known = self.known.lock().get(&job).cloned();
        if let Some(known) = known {
            known.cancel.cancel();
        }
    }

    fn is_connected(&self) -> bool {
        self.client.connection_state() == ConnectionState::Connected
    }

    /// Put a job's message into its queue, unless it is there.
    async fn send(&self, work: &QueuedWork) -> Result<(), BrokerError> {
        if !self.is_connected() {
            return Err(failed("NATS", &"not connected"));
        }
        let body = WireWork::new(work.job, work.images, self.bus.last_number()).encode();
        let mut message = PublishMessage::build().payload(body.into()).expected_last_subject_sequence(0);
        for (name, value) in telemetry::trace_headers(&tracing::Span::current()) {
            message = message.header(name.as_str(), value.as_str());
        }
        let subject = self.names.job(QueueName::of(work.priority, work.yields, work.size), work.job);
        let sent = async { self.context.send_publish(subject, message).await?.await };
        match sent.await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(()),
            Err(error) => Err(failed("NATS does not take a job", &error)),
        }
    }

    /// What the store answers, if it does so while a lease lasts: a connection that is dead without a word would be waited for
    /// much longer. It may have been done all the same, and can be asked for again.
    async fn in_time<T>(&self, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let answered = tokio::time::timeout(self.config.lease, asked).await;
        answered.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer".to_owned())))
    }

    /// Where the jobs wait that are listened to here, of the first ones.
    async fn find_places(&self) -> Result<Vec<Place>, StoreError> {
        if !self.bus.has_logs() {
            return Ok(Vec::new());
        }
        let mut waiting = self.store.list_queued(None, MOST_PLACES).await?;
        // Within a class they are in the order in which they came.
        waiting.sort_by_key(|queued| (std::cmp::Reverse(queued.priority), queued.yields, queued.id));
        let mut cost_before = 0_u64;
        let mut places = Vec::new();
        for (position, queued) in waiting.iter().enumerate() {
            if self.bus.has_log(queued.id) {
                places.push(Place { job: queued.id, position, cost_before, cost: queued.cost });
            }
            cost_before = cost_before.saturating_add(queued.cost);
        }
        Ok(places)
    }

    /// Claim the job of a message in the store.
    async fn claim_held(&self, held: Held) -> Result<Claimed, BrokerError> {
        let id = held.work.job;
        let started = Instant::now();
        let span = tracing::info_span!("job", job.id = %id);
        let headers = held.message.headers.as_ref();
        telemetry::continue_trace(&span, |name| headers?.get(name).map(HeaderValue::as_str));
        let lease = self.lease();
        let claiming = self.in_time(self.store.claim(id, &lease, self.clock.now_ms()));
        let claimed = claiming.instrument(tracing::info_span!(parent: &span, "claim")).await;
        metrics::STORE_DURATION.record_since(started, ["claim"]);
        match claimed {
            Ok(Some(job)) => {
                self.bus.take_up(id, &job.owner, held.work.event);
                let mut claims = self.claims.lock();
                claims.insert(id, (job.epoch, held.message));
                // A claim may be stopped by itself: the next one is another run.
                let cancel = self.known.lock().entry(id).or_default().cancel.child_token();
                Ok(Claimed::Job(Claim { job: Arc::new(job), cancel, span }))
            }
            Ok(None) => {
                self.drop_message(id, &held.message).await;
                Ok(Claimed::Gone(id))
            }
            Err(error) => {
                self.pulls.put_back(held);
                Err(error.into())
            }
        }
    }

    /// A message of a job that is not queued: if it has ended, nothing is left to do; if another worker has it, that one may be
    /// dead.
    async fn drop_message(&self, id: Uuid, message: &Message) {
        let kind = match self.in_time(self.store.get(id)).await {
            Ok(Some(job)) if !job.state.is_final() => AckKind::Nak(Some(TAKEN.min(self.config.lease))),
            Ok(_) => AckKind::Ack,
            Err(_) => AckKind::Nak(Some(TAKEN)),
        };
        answer(message, kind).await;
    }

    /// The message of a claim that is over.
    fn take_message(&self, claim: &Claim) -> Option<Message> {
        let mut claims = self.claims.lock();
        let is_this = claims.get(&claim.job.id).is_some_and(|(epoch, _)| *epoch == claim.job.epoch);
        if is_this { claims.remove(&claim.job.id).map(|(_, message)| message) } else { None }
    }
}

/// Answer a message. Where that does not arrive, it comes again after a lease, and is answered then.
async fn answer(message: &Message, kind: AckKind) {
    if let Err(error) = message.ack_with(kind).await {
        tracing::debug!(%error, "a message cannot be answered");
    }
}

/// Count what waits, as long as the broker lives.
async fn count_backlog(broker: std::sync::Weak<NatsBroker>) {
    loop {
        tokio::time::sleep(COUNT).await;
        let Some(broker) = broker.upgrade() else { return };
        if let Ok(backlog) = broker.in_time(broker.store.backlog()).await {
            *broker.backlog.lock() = Some(backlog);
        }
        *broker.places.lock() = broker.in_time(broker.find_places()).await.unwrap_or_default();
    }
}

#[async_trait]
impl Broker for NatsBroker {
    fn events(&self) -> &dyn EventBus {
        &self.bus
    }

    fn shares_memory(&self) -> bool {
        false
    }

    fn place_for(&self, work: &QueuedWork) -> Place {
        let backlog = self.backlog.lock().unwrap_or_default();
        let position = usize::try_from(backlog.queued).unwrap_or(usize::MAX);
        Place { job: work.job, position, cost_before: backlog.queued_cost, cost: work.cost }
    }

    async fn publish(&self, work: QueuedWork) -> Result<(), BrokerError> {
        if work.durable && self.is_closed.load(Ordering::SeqCst) {
            return Err(failed("the broker", &"the process is about to stop"));
        }
        if self.bus.has_log(work.job) {
            self.known.lock().entry(work.job).or_default().is_detached = work.durable;
        }
        // Who listens to the job does so before a worker can have it; where NATS is slow, its end is heard from the store.
        let _ = tokio::time::timeout(ANSWER, self.relay.flush()).await;
        if let Err(error) = self.send(&work).await {
            tracing::warn!(job.id = %work.job, %error, "a job waits in the store until it can be published");
        }
        Ok(())
    }

    async fn report(&self, report: Option<WorkerReport>) {
        let is_gone = report.is_none();
        self.workers.report(&self.config.process, &self.config.host, report);
        if is_gone {
            // The process may be gone the next moment, too.
            self.relay.flush().await;
            let _ = tokio::time::timeout(ANSWER, self.client.flush()).await;
        }
    }

    fn fleet(&self) -> Option<FleetReport> {
        Some(FleetReport { workers: self.workers.known(), backlog: *self.backlog.lock() })
    }

    fn is_reachable(&self) -> bool {
        self.is_connected()
    }

    async fn lacks_jobs(&self, unfinished: u64) -> bool {
        if !self.is_connected() || self.streams.ensure().await.is_err() {
            return false;
        }
        self.streams.jobs().await.is_ok_and(|jobs| jobs < unfinished)
    }

    fn places(&self) -> Vec<Place> {
        std::mem::take(&mut *self.places.lock())
    }

    async fn claim(&self, room: Room) -> Result<Option<Claimed>, BrokerError> {
        if self.is_closed.load(Ordering::SeqCst) || !self.is_connected() {
            return Ok(None);
        }
        match self.pulls.next(room).await? {
            Some(held) => Ok(Some(self.claim_held(held).await?)),
            None => Ok(None),
        }
    }

    async fn work_available(&self) {
        if !self.is_closed.load(Ordering::SeqCst) {
            self.pulls.wait_for_more();
        }
        tokio::select! {
            () = self.pulls.available.notified() => {}
            // What is held too long is given back; a connection may be there again.
            () = tokio::time::sleep(ANSWER) => {}
        }
    }

    fn lease(&self) -> Lease {
        let lease_ms = i64::try_from(self.config.lease.as_millis()).unwrap_or(i64::MAX);
        Lease { worker: self.config.process.clone(), until: self.clock.now_ms().saturating_add(lease_ms) }
    }

    fn extension_interval(&self) -> Duration {
        (self.config.lease / EXTENSIONS_PER_LEASE).max(SHORTEST_EXTENSION_INTERVAL)
    }

    async fn extend(&self) -> Result<(), BrokerError> {
        let canceled = self.in_time(self.store.extend_leases(&self.lease())).await?;
        // After that: what the store does not know to be here any more is to go to others.
        let messages: Vec<Message> = self.claims.lock().values().map(|(_, message)| message.clone()).collect();
        for message in &messages {
            answer(message, AckKind::Progress).await;
        }
        for job in canceled {
            self.cancel_here(job);
        }
        Ok(())
    }

    async fn acknowledge(&self, claim: &Claim, end: &JobEnd<'_>) -> Result<bool, BrokerError> {
        let started = Instant::now();
        let ended = self.in_time(self.store.finish(claim.job.id, claim.job.epoch, end)).await;
        metrics::STORE_DURATION.record_since(started, ["finish"]);
        let ended = ended?;
        if let Some(message) = self.take_message(claim) {
            if ended {
                answer(&message, AckKind::Ack).await;
            } else {
                self.drop_message(claim.job.id, &message).await;
            }
        }
        Ok(ended)
    }

    async fn release(&self, claim: &Claim, release: Release) -> Result<bool, BrokerError> {
        let id = claim.job.id;
        let released = self.in_time(self.store.release(id, claim.job.epoch, release == Release::Lost)).await?;
        if let Some(message) = self.take_message(claim) {
            if released {
                answer(&message, AckKind::Nak(None)).await;
            } else {
                self.drop_message(id, &message).await;
            }
            if self.is_closed.load(Ordering::SeqCst) {
                // The process may be gone the next moment.
                let _ = tokio::time::timeout(ANSWER, self.client.flush()).await;
            }
        }
        Ok(released)
    }

    fn cancel(&self, job: Uuid) {
        self.cancel_here(job);
        self.relay.send(self.names.cancel(), job.to_string().into_bytes(), Importance::Notice);
    }

    fn forget(&self, job: Uuid) {
        // A newer claim than the one that is over here is still to hear of its cancellation.
        let claims = self.claims.lock();
        if !claims.contains_key(&job) {
            self.known.lock().remove(&job);
            self.bus.put_down(job);
        }
    }

    fn close(&self) -> Vec<Uuid> {
        self.is_closed.store(true, Ordering::SeqCst);
        let pulls = self.pulls.clone();
        tokio::spawn(async move { pulls.close().await });
        let claims = self.claims.lock();
        let known = self.known.lock();
        let detached = known.iter().filter(|(job, known)| known.is_detached && !claims.contains_key(*job));
        detached.map(|(job, _)| *job).collect()
    }
}

impl Drop for NatsBroker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
