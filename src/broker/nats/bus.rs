//! Events of jobs, whichever process they happen in: sent where they happen, and received where there is a listener.
//!
//! Invariants: an event of a job has the number that its sender gave it, and its end one by its time in the store, so a listener
//! can go on at another process: it is told the last event that the servers have kept, if it has not seen it. A job's end is
//! heard whatever becomes of its event and of the connection to NATS: while anything listens to a job, the store is read after a
//! reconnection and each [`LOOK`], whether the subscription was made or not, and an answer is not waited for longer than that.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::names::{EventKind, Names, job_of};
use super::relay::{Importance, Relay};
use super::streams::{Streams, last_messages};
use super::wire::{self, WireEvent};
use crate::broker::events::{JobEvent, NumberedEvent};
use crate::broker::feed::Feed;
use crate::broker::log::Subscription;
use crate::broker::traits::EventBus;
use crate::records::Job;
use crate::store::{JobStore, StoreError};

/// How often a job that is listened to is read in the store, where leases are not shorter.
const LOOK: Duration = Duration::from_secs(10);
/// When a listener that comes late asks once more for the last event of its job.
const RECALL_AGAIN: Duration = Duration::from_millis(500);
/// An owner whose last listener has left for so long, or twice that, is not listened to any more.
const UNHEARD: Duration = Duration::from_mins(1);
/// Ends that are remembered, so that each is told once.
const MOST_ENDS: usize = 4096;

/// See the module.
pub(super) struct NatsBus(Arc<Inner>);

struct Inner {
    feed: Feed,
    store: Arc<dyn JobStore>,
    names: Names,
    relay: Relay,
    streams: Arc<Streams>,
    /// Changes with each connection to NATS.
    connections: watch::Receiver<u64>,
    look: Duration,
    /// Owners of the jobs that events are sent of.
    owners: Mutex<HashMap<Uuid, String>>,
    /// Jobs that are listened to here, and what ends that.
    listened: Mutex<HashMap<Uuid, Listener>>,
    listened_owners: Mutex<HashMap<Option<String>, CancellationToken>>,
    ends: Mutex<Ends>,
}

/// Who listens to a job.
struct Listener {
    id: Uuid,
    stop: CancellationToken,
}

/// Jobs whose ends were heard, the newest of them.
#[derive(Default)]
struct Ends {
    known: HashSet<Uuid>,
    order: VecDeque<Uuid>,
}

impl Ends {
    fn note(&mut self, job: Uuid) {
        if self.known.insert(job) {
            self.order.push_back(job);
            if self.order.len() > MOST_ENDS
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
    }
}

impl NatsBus {
    pub(super) fn new(feed: Feed, (store, lease): (Arc<dyn JobStore>, Duration), names: Names, wires: Wires) -> Self {
        let Wires { relay, streams, connections } = wires;
        let (owners, listened, listened_owners) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (look, ends) = (LOOK.min(lease), Mutex::default());
        let inner =
            Inner { feed, store, names, relay, streams, connections, look, owners, listened, listened_owners, ends };
        Self(Arc::new(inner))
    }

    /// The number of the last event that was sent or heard.
    pub(super) fn last_number(&self) -> u64 {
        self.0.feed.last_number()
    }

    /// A job goes on here, after its event of this number.
    pub(super) fn take_up(&self, job: Uuid, owner: &str, number: u64) {
        self.0.feed.raise(number);
        self.0.owners.lock().insert(job, owner.to_owned());
    }

    /// No more events of a job are sent from here.
    pub(super) fn put_down(&self, job: Uuid) {
        self.0.owners.lock().remove(&job);
    }

    /// Whether anything here listens to a job.
    pub(super) fn has_log(&self, job: Uuid) -> bool {
        self.0.feed.has_log(job)
    }

    /// Whether anything here listens to any job.
    pub(super) fn has_logs(&self) -> bool {
        self.0.feed.has_logs()
    }

    /// Listen to a job.
    fn listen(&self, job: Uuid, is_new: bool) {
        let (id, stop) = (Uuid::new_v4(), CancellationToken::new());
        let before = self.0.listened.lock().insert(job, Listener { id, stop: stop.clone() });
        if let Some(before) = before {
            before.stop.cancel();
        }
        let (inner, heard) = (self.0.clone(), self.0.hear(self.0.names.job_events(job)));
        tokio::spawn(async move {
            inner.follow_job(job, heard, &stop, is_new).await;
            let mut listened = inner.listened.lock();
            if listened.get(&job).is_some_and(|listener| listener.id == id) {
                listened.remove(&job);
            }
        });
    }

    fn listen_to_owner(&self, owner: Option<&str>) {
        let (owner, stop) = (owner.map(str::to_owned), CancellationToken::new());
        {
            let mut listened = self.0.listened_owners.lock();
            if listened.contains_key(&owner) {
                return;
            }
            listened.insert(owner.clone(), stop.clone());
        }
        let (inner, heard) = (self.0.clone(), self.0.hear(self.0.names.owner_events(owner.as_deref())));
        tokio::spawn(async move { inner.follow_owner(owner, heard, stop).await });
    }
}

/// What a bus hears with.
pub(super) struct Wires {
    pub relay: Relay,
    pub streams: Arc<Streams>,
    /// Changes with each connection to NATS.
    pub connections: watch::Receiver<u64>,
}

/// What comes of a subscription that is made later, or never.
enum Heard {
    Asked(oneshot::Receiver<Subscriber>),
    Made(Subscriber),
    Nothing,
}

impl Heard {
    /// The next message. Can be dropped.
    async fn next(&mut self) -> Message {
        loop {
            let next = match self {
                Self::Asked(asked) => asked.await.map_or(Self::Nothing, Self::Made),
                Self::Made(subscriber) => match subscriber.next().await {
                    Some(message) => return message,
                    None => Self::Nothing,
                },
                Self::Nothing => std::future::pending().await,
            };
            *self = next;
        }
    }
}

impl Inner {
    fn hear(&self, subject: String) -> Heard {
        let (made, asked) = oneshot::channel();
        self.relay.listen(subject, move |subscriber| drop(made.send(subscriber)));
        Heard::Asked(asked)
    }

    /// Connections from now on.
    fn connections(&self) -> watch::Receiver<u64> {
        let mut connections = self.connections.clone();
        connections.mark_unchanged();
        connections
    }

    async fn follow_job(&self, job: Uuid, mut heard: Heard, stop: &CancellationToken, is_new: bool) {
        let mut connections = self.connections();
        let mut look = tokio::time::interval(self.look);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        if is_new {
            look.reset();
        } else {
            // What comes meanwhile waits.
            let _ = tokio::time::timeout(self.look, self.recall(job)).await;
        }
        let mut again = std::pin::pin!(tokio::time::sleep(RECALL_AGAIN));
        let mut recalls_again = !is_new;
        while self.feed.has_log(job) {
            tokio::select! {
                () = stop.cancelled() => break,
                message = heard.next() => {
                    if let Some(event) = self.read(job, &message.payload, 0).await {
                        self.feed.deliver(event);
                    }
                }
                // The servers keep an event a moment after they have sent it to those who listened.
                () = &mut again, if recalls_again => {
                    recalls_again = false;
                    let _ = tokio::time::timeout(self.look, self.recall(job)).await;
                }
                // What was sent in between was not heard.
                Ok(()) = connections.changed() => self.look_up(job).await,
                _ = look.tick() => self.look_up(job).await,
            }
        }
    }

    async fn follow_owner(&self, owner: Option<String>, mut heard: Heard, stop: CancellationToken) {
        let (mut connections, mut last) = (self.connections(), self.feed.last_number());
        let mut check = tokio::time::interval(UNHEARD);
        check.reset();
        let mut was_idle = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = check.tick() => {
                    let is_idle = !self.feed.has_owner_listeners(owner.as_deref());
                    if is_idle && was_idle && self.forget_owner(owner.as_deref()) {
                        return;
                    }
                    was_idle = is_idle;
                }
                message = heard.next() => {
                    let Some(job) = job_of(&message.subject) else { continue };
                    if let Some(event) = self.read(job, &message.payload, 0).await {
                        last = last.max(event.number);
                        self.feed.deliver_to_owner(owner.as_deref(), event);
                    }
                }
                // What was sent in between, as far as the servers have kept it.
                Ok(()) = connections.changed() => {
                    for event in self.recall_owner(owner.as_deref(), last).await {
                        last = last.max(event.number);
                        self.feed.deliver_to_owner(owner.as_deref(), (*event).clone());
                    }
                }
            }
        }
    }

    /// Tell of the last event of a job that the servers have kept.
    async fn recall(&self, job: Uuid) {
        let last = async {
            let stream = self.streams.events_stream().await.ok()?;
            stream.get_last_raw_message_by_subject(&self.names.job_states(job)).await.ok()
        };
        let Some(last) = last.await else { return };
        if let Some(event) = self.read(job, &last.payload, 0).await {
            self.feed.deliver(event);
        }
    }

    /// The last events of an owner's jobs after this number, in the order of their numbers.
    async fn recall_owner(&self, owner: Option<&str>, after: u64) -> Vec<Arc<NumberedEvent>> {
        let kept = async { last_messages(&self.streams.events_stream().await?, self.names.owner_states(owner)).await };
        let messages = kept.await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the past of events cannot be read");
            Vec::new()
        });
        let mut events = Vec::new();
        for message in messages {
            let Some(job) = job_of(&message.subject) else { continue };
            events.extend(self.read(job, &message.payload, after).await.map(Arc::new));
        }
        events.sort_by_key(|event| event.number);
        events
    }

    /// Have nothing more to do with an owner that nothing listens to. False: something does.
    fn forget_owner(&self, owner: Option<&str>) -> bool {
        // Who begins to listen waits for this lock, and then starts anew.
        let mut listened = self.listened_owners.lock();
        let is_forgotten = self.feed.close_idle_owner(owner);
        if is_forgotten {
            listened.remove(&owner.map(str::to_owned));
        }
        is_forgotten
    }

    /// An event that was heard, unless its number is not above `after`, if that is not 0. Ends are read from the store.
    async fn read(&self, job: Uuid, payload: &[u8], after: u64) -> Option<NumberedEvent> {
        let (mut number, event) = wire::decode(payload)?;
        let is_new = |number| after == 0 || number > after;
        if !is_new(number) {
            return None;
        }
        let event = match event {
            WireEvent::Event(event) => event,
            WireEvent::Ended => match self.stored(job).await {
                Ok(Some(stored)) => {
                    number = end_number(&stored);
                    JobEvent::Ended { job: Arc::new(stored), files: None }
                }
                Ok(None) => {
                    self.feed.close(job);
                    return None;
                }
                // It is looked up again.
                Err(error) => {
                    tracing::debug!(job.id = %job, %error, "a job that ended cannot be read yet");
                    return None;
                }
            },
        };
        if matches!(event, JobEvent::Ended { .. }) {
            self.ends.lock().note(job);
        }
        is_new(number).then_some(NumberedEvent { number, job, event })
    }

    /// A job of the store, if it answers soon: a connection that is dead without a word would be waited for much longer.
    async fn stored(&self, job: Uuid) -> Result<Option<Job>, StoreError> {
        let read = tokio::time::timeout(self.look, self.store.get(job)).await;
        read.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer".to_owned())))
    }

    /// Tell of a job's end that was not heard.
    async fn look_up(&self, job: Uuid) {
        match self.stored(job).await {
            Ok(Some(stored)) if stored.state.is_final() => {
                self.ends.lock().note(job);
                let number = end_number(&stored);
                let event = JobEvent::Ended { job: Arc::new(stored), files: None };
                self.feed.deliver(NumberedEvent { number, job, event });
            }
            Ok(None) => self.feed.close(job),
            Ok(Some(_)) => {}
            Err(error) => tracing::debug!(job.id = %job, %error, "a job cannot be read yet"),
        }
    }
}

/// The number of a job's end, wherever it is heard of: from its time, as numbers of events are.
fn end_number(job: &Job) -> u64 {
    u64::try_from(job.finished_at.unwrap_or_default().saturating_mul(1000)).unwrap_or(0)
}

impl EventBus for NatsBus {
    fn open(&self, job: Uuid, owner: &str) -> Subscription {
        self.take_up(job, owner, 0);
        let events = self.0.feed.open(job, owner);
        self.listen(job, true);
        events
    }

    fn announce(&self, job: Uuid, event: JobEvent) {
        let owner = match &event {
            JobEvent::Ended { job: ended, .. } => {
                self.put_down(job);
                Some(ended.owner.clone())
            }
            _ => self.0.owners.lock().get(&job).cloned(),
        };
        let Some(owner) = owner else { return };
        let number = self.0.feed.next_number();
        let kind = if matches!(event, JobEvent::Preview { .. }) { EventKind::Preview } else { EventKind::State };
        let importance = match event {
            JobEvent::Preview { .. } | JobEvent::Progress { .. } => Importance::Detail,
            JobEvent::Queued { .. } | JobEvent::Ended { .. } => Importance::Notice,
        };
        self.0.relay.send(self.0.names.events(&owner, job, kind), wire::encode(number, &event), importance);
    }

    fn tell_place(&self, job: Uuid, event: JobEvent) {
        self.0.feed.deliver_place(job, event);
    }

    fn close(&self, job: Uuid) {
        self.put_down(job);
        self.0.feed.close(job);
        let listener = self.0.listened.lock().remove(&job);
        if let Some(listener) = listener {
            listener.stop.cancel();
        }
    }

    fn watch(&self, job: Uuid, after: u64) -> Option<Subscription> {
        if let Some(events) = self.0.feed.watch(job, after) {
            return Some(events);
        }
        if self.0.ends.lock().known.contains(&job) {
            return None;
        }
        // Its owner is in the subjects of its events.
        drop(self.0.feed.open(job, ""));
        self.listen(job, false);
        self.0.feed.watch(job, after)
    }

    fn watch_owner(&self, owner: Option<&str>, after: Option<u64>) -> Subscription {
        let events = self.0.feed.watch_owner(owner, after);
        self.listen_to_owner(owner);
        let Some(after) = after else { return events };
        let (inner, owner) = (self.0.clone(), owner.map(str::to_owned));
        events.preceded_by(async move { inner.recall_owner(owner.as_deref(), after).await })
    }

    fn close_owners(&self) {
        for (_, stop) in self.0.listened_owners.lock().drain() {
            stop.cancel();
        }
        self.0.feed.close_owners();
    }
}
