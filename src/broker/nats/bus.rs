//! Events of jobs, whichever process they happen in: sent where they happen, and received where there is a listener.
//!
//! Invariants: an event has the number that its sender gave it, so a listener can go on at another process; a job's end is
//! heard even if its event is lost, since a listener looks into the store when it has received nothing for a while.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::names::{Names, job_of};
use super::relay::Relay;
use super::wire::{self, WireEvent};
use crate::broker::events::{JobEvent, NumberedEvent};
use crate::broker::feed::Feed;
use crate::broker::log::Subscription;
use crate::broker::traits::EventBus;
use crate::store::JobStore;

/// A job that nothing was heard of for so long is looked up in the store.
const SILENCE: Duration = Duration::from_secs(10);
/// Ends that are remembered, so that each is told once.
const MOST_ENDS: usize = 4096;

/// See the module.
pub(super) struct NatsBus(Arc<Inner>);

struct Inner {
    feed: Feed,
    store: Arc<dyn JobStore>,
    names: Names,
    relay: Relay,
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
    pub(super) fn new(feed: Feed, store: Arc<dyn JobStore>, names: Names, relay: Relay) -> Self {
        let (owners, listened, listened_owners) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { feed, store, names, relay, owners, listened, listened_owners, ends: Mutex::default() }))
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

    /// Listen to a job.
    fn listen(&self, job: Uuid, is_new: bool) {
        let (id, stop) = (Uuid::new_v4(), CancellationToken::new());
        let before = self.0.listened.lock().insert(job, Listener { id, stop: stop.clone() });
        if let Some(before) = before {
            before.stop.cancel();
        }
        let inner = self.0.clone();
        let follow = move |heard| {
            tokio::spawn(async move {
                inner.follow_job(job, heard, &stop, is_new).await;
                let mut listened = inner.listened.lock();
                if listened.get(&job).is_some_and(|listener| listener.id == id) {
                    listened.remove(&job);
                }
            });
        };
        self.0.relay.listen(self.0.names.job_events(job), follow);
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
        let (inner, subject) = (self.0.clone(), self.0.names.owner_events(owner.as_deref()));
        let follow = move |heard| {
            tokio::spawn(async move { inner.follow_owner(owner, heard, stop).await });
        };
        self.0.relay.listen(subject, follow);
    }
}

impl Inner {
    async fn follow_job(&self, job: Uuid, mut heard: Subscriber, stop: &CancellationToken, is_new: bool) {
        let mut silence = if is_new { SILENCE } else { Duration::ZERO };
        while self.feed.has_log(job) {
            tokio::select! {
                () = stop.cancelled() => break,
                message = heard.next() => {
                    let Some(message) = message else { break };
                    if let Some(event) = self.read(job, &message).await {
                        self.feed.deliver(event);
                    }
                }
                () = tokio::time::sleep(silence) => self.look_up(job).await,
            }
            silence = SILENCE;
        }
    }

    async fn follow_owner(&self, owner: Option<String>, mut heard: Subscriber, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                message = heard.next() => {
                    let Some(message) = message else { return };
                    let Some(job) = job_of(&message.subject) else { continue };
                    if let Some(event) = self.read(job, &message).await {
                        self.feed.deliver_to_owner(owner.as_deref(), event);
                    }
                }
            }
        }
    }

    /// An event that was heard. Ends are read from the store.
    async fn read(&self, job: Uuid, message: &Message) -> Option<NumberedEvent> {
        let (number, event) = wire::decode(&message.payload)?;
        let event = match event {
            WireEvent::Event(event) => event,
            WireEvent::Ended => match self.store.get(job).await {
                Ok(Some(stored)) => JobEvent::Ended { job: Arc::new(stored), files: None },
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
        Some(NumberedEvent { number, job, event })
    }

    /// Tell of a job's end that was not heard.
    async fn look_up(&self, job: Uuid) {
        match self.store.get(job).await {
            Ok(Some(stored)) if stored.state.is_final() => {
                self.ends.lock().note(job);
                let ended_us = stored.finished_at.unwrap_or_default().saturating_mul(1000);
                let number = u64::try_from(ended_us).unwrap_or(0);
                let event = JobEvent::Ended { job: Arc::new(stored), files: None };
                self.feed.deliver(NumberedEvent { number, job, event });
            }
            Ok(None) => self.feed.close(job),
            Ok(Some(_)) => {}
            Err(error) => tracing::debug!(job.id = %job, %error, "a job cannot be read yet"),
        }
    }
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
        self.0.relay.send(self.0.names.events(&owner, job), wire::encode(number, &event));
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
        events
    }

    fn close_owners(&self) {
        for (_, stop) in self.0.listened_owners.lock().drain() {
            stop.cancel();
        }
        self.0.feed.close_owners();
    }
}
