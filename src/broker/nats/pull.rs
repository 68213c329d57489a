//! Messages that a worker has asked for.
//!
//! Invariants: a worker asks while it has room, and not otherwise; what it was given and is too large for its room is held, before
//! anything of the same or a less urgent class, and given back after a while; what comes when it has no room any more, since it had
//! asked several queues, goes to others at once; no message is dropped on its way, which would delay its job by a lease. A new
//! connection is asked anew: the servers know nothing of what the one before was asked.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{AckKind, Message};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::streams::{Streams, WORKERS, failed};
use super::wire::WireWork;
use crate::broker::pull_order::{self, QueueName};
use crate::broker::traits::{BrokerError, Room};

/// How long an answer that comes at once may take.
const ANSWER: Duration = Duration::from_secs(2);
/// What part of a lease a message is held for that does not fit.
const HOLDS_PER_LEASE: u32 = 3;
/// After what failed.
const PAUSE: Duration = Duration::from_millis(500);
/// Messages of a newer version are given back for so long.
const UNKNOWN: Duration = Duration::from_secs(5);

/// A message that was not taken yet.
pub(super) struct Held {
    pub message: Message,
    pub work: WireWork,
    pub queue: QueueName,
    since: Instant,
}

/// One queue, as a worker sees it.
struct Lane {
    queue: QueueName,
    consumer: Mutex<Option<PullConsumer>>,
    /// A request for a message is waiting: there was none.
    is_waiting: AtomicBool,
    /// When the last message came.
    last: Mutex<Option<Instant>>,
}

/// See the module.
pub(super) struct Pulls {
    streams: Arc<Streams>,
    lanes: Vec<Arc<Lane>>,
    held: Mutex<VecDeque<Held>>,
    room: Mutex<Room>,
    /// The group of the sizes that were taken last.
    group: Mutex<Option<usize>>,
    taken: AtomicU64,
    /// How long a message is held that does not fit.
    hold: Duration,
    pub available: Notify,
    /// Changes with each connection to NATS.
    connections: watch::Receiver<u64>,
    closed: CancellationToken,
}

impl Pulls {
    pub(super) fn new(streams: Arc<Streams>, lease: Duration, connections: watch::Receiver<u64>) -> Arc<Self> {
        let lane = |queue| {
            Arc::new(Lane { queue, consumer: Mutex::default(), is_waiting: false.into(), last: Mutex::default() })
        };
        Arc::new(Self {
            streams,
            lanes: QueueName::all().map(lane).collect(),
            held: Mutex::default(),
            room: Mutex::new(Room { free: 0, total: 0 }),
            group: Mutex::default(),
            taken: AtomicU64::new(0),
            hold: lease / HOLDS_PER_LEASE,
            available: Notify::new(),
            connections,
            closed: CancellationToken::new(),
        })
    }

    /// The next message, if it fits.
    pub(super) async fn next(self: &Arc<Self>, room: Room) -> Result<Option<Held>, BrokerError> {
        *self.room.lock() = room;
        self.return_held(room).await;
        if self.closed.is_cancelled() || room.free == 0 {
            return Ok(None);
        }
        if self.held.lock().is_empty() {
            self.ask_all().await?;
        }
        let taken = self.take_held(room);
        if let Some(held) = &taken {
            *self.group.lock() = Some(held.queue.group);
            self.taken.fetch_add(1, Ordering::Relaxed);
        } else {
            self.wait_for_more();
        }
        Ok(taken)
    }

    /// Hold a message again that could not be claimed.
    pub(super) fn put_back(&self, held: Held) {
        self.held.lock().push_front(held);
    }

    /// The most urgent of those that are held; `None` if it does not fit.
    fn take_held(&self, room: Room) -> Option<Held> {
        let mut held = self.held.lock();
        // Of equal ones the first.
        let (at, first) = held
            .iter()
            .enumerate()
            .min_by_key(|(_, held)| (Reverse(held.queue.priority.level()), held.queue.yields))?;
        if room.fits(first.work.images) { held.remove(at) } else { None }
    }

    /// Ask the queues that may have something, one after another, until one has.
    async fn ask_all(&self) -> Result<(), BrokerError> {
        let order = pull_order::queues(self.taken.load(Ordering::Relaxed), *self.group.lock());
        for queue in order {
            let Some(lane) = self.lanes.iter().find(|lane| lane.queue == queue) else { continue };
            if lane.is_waiting.load(Ordering::Acquire) {
                continue;
            }
            let consumer = self.consumer(lane).await?;
            let rank = pull_order::rank(*self.room.lock(), *self.group.lock(), queue);
            let message = match tokio::time::timeout(ANSWER, ask(&consumer, rank, None)).await {
                Ok(Ok(message)) => message,
                Ok(Err(error)) => return Err(self.repair(lane, error).await),
                Err(_) => return Err(failed("NATS", &"no answer")),
            };
            if let Some(message) = message {
                *lane.last.lock() = Some(Instant::now());
                self.hold(message, queue).await;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Have a request wait at each queue where there is none.
    pub(super) fn wait_for_more(self: &Arc<Self>) {
        for lane in &self.lanes {
            if !lane.is_waiting.swap(true, Ordering::AcqRel) {
                tokio::spawn(wait(self.clone(), lane.clone()));
            }
        }
    }

    async fn consumer(&self, lane: &Lane) -> Result<PullConsumer, BrokerError> {
        if let Some(consumer) = &*lane.consumer.lock() {
            return Ok(consumer.clone());
        }
        let consumer = self.streams.consumer(lane.queue).await?;
        *lane.consumer.lock() = Some(consumer.clone());
        Ok(consumer)
    }

    /// The stream, or the consumer, may be gone with what a server had.
    async fn repair(&self, lane: &Lane, error: BrokerError) -> BrokerError {
        *lane.consumer.lock() = None;
        match self.streams.ensure().await {
            Ok(()) => error,
            Err(error) => error,
        }
    }

    /// Keep a message until it is taken. One that means nothing here is left to others.
    async fn hold(&self, message: Message, queue: QueueName) {
        let Some(work) = WireWork::decode(&message.payload) else {
            give_back(&message, Some(UNKNOWN)).await;
            return;
        };
        if self.closed.is_cancelled() {
            give_back(&message, None).await;
            return;
        }
        self.held.lock().push_back(Held { message, work, queue, since: Instant::now() });
        self.available.notify_one();
    }

    /// Give back what others may have room for: all of it if there is none here, else what was held too long.
    async fn return_held(&self, room: Room) {
        let returned: Vec<Held> = {
            let mut held = self.held.lock();
            let goes = |held: &Held| room.free == 0 || held.since.elapsed() >= self.hold;
            let (returned, kept): (VecDeque<Held>, VecDeque<Held>) =
                std::mem::take(&mut *held).into_iter().partition(goes);
            *held = kept;
            returned.into()
        };
        for held in returned {
            // At once unless this worker would be the next that asks.
            give_back(&held.message, (room.free > 0).then_some(PAUSE)).await;
        }
    }

    /// Take nothing more, and give back what is held.
    pub(super) async fn close(&self) {
        self.closed.cancel();
        let held = std::mem::take(&mut *self.held.lock());
        for held in held {
            give_back(&held.message, None).await;
        }
    }
}

/// Wait for a message of a queue while there is room for one.
async fn wait(pulls: Arc<Pulls>, lane: Arc<Lane>) {
    let mut connections = pulls.connections.clone();
    loop {
        connections.mark_unchanged();
        let room = *pulls.room.lock();
        if room.free == 0 || pulls.closed.is_cancelled() {
            break;
        }
        let rank = pull_order::rank(room, *pulls.group.lock(), lane.queue);
        let waited = async {
            let consumer = pulls.consumer(&lane).await?;
            let since_last = lane.last.lock().map(|last| last.elapsed());
            ask(&consumer, rank, Some(pull_order::patience(since_last))).await
        };
        let waited = tokio::select! {
            // A message that is there is taken.
            biased;
            waited = waited => waited,
            Ok(()) = connections.changed() => continue,
        };
        match waited {
            Ok(Some(message)) => {
                *lane.last.lock() = Some(Instant::now());
                // Before it is seen: who takes it may ask this queue at once.
                lane.is_waiting.store(false, Ordering::Release);
                pulls.hold(message, lane.queue).await;
                return;
            }
            Ok(None) => {}
            Err(error) => {
                let error = pulls.repair(&lane, error).await;
                tracing::debug!(%error, "a queue of jobs does not answer; trying again");
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = pulls.closed.cancelled() => {}
                }
            }
        }
    }
    lane.is_waiting.store(false, Ordering::Release);
}

/// Ask a queue for one message. `wait`: how long, if there is none.
async fn ask(consumer: &PullConsumer, rank: usize, wait: Option<Duration>) -> Result<Option<Message>, BrokerError> {
    let mut request = consumer.fetch().max_messages(1).group(WORKERS).priority(rank);
    if let Some(wait) = wait {
        request = request.expires(wait);
    }
    let mut messages = request.messages().await.map_err(|error| failed("a queue cannot be asked", &error))?;
    messages.next().await.transpose().map_err(|error| failed("a queue does not answer", &error))
}

/// Let others have a message, now or after a while. Where that does not arrive, they have it after a lease.
async fn give_back(message: &Message, after: Option<Duration>) {
    if let Err(error) = message.ack_with(AckKind::Nak(after)).await {
        tracing::debug!(%error, "a message cannot be given back");
    }
}
