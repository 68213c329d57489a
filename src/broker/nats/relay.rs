//! What is sent, in order, and what is listened to.
//!
//! Invariants: what is handed over in one order is sent in that order, so that a listener that is there first misses nothing that is
//! sent later; handing over never waits; what waits to be sent is bounded in bytes, since details are left out where NATS is away
//! or slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::connection::State as ConnectionState;
use async_nats::{Client, Subscriber};
use tokio::sync::{mpsc, oneshot};

/// Bytes that wait at most, so that a detail is added.
const MOST_DETAILS: usize = 4 << 20;
/// Likewise anything else. Listeners find out about it in the store.
const MOST_BYTES: usize = 16 << 20;
/// After so many bytes it is waited until they have left, ...
const FLUSHED: usize = 256 << 10;
/// ... but not for longer.
const FLUSH: Duration = Duration::from_millis(500);

/// What becomes of a message that cannot be sent soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Importance {
    /// It is left out: previews, progress.
    Detail,
    /// It waits, unless far too much does.
    Notice,
}

/// What is to be done, one after another.
enum Command {
    Listen(String, Box<dyn FnOnce(Subscriber) + Send>),
    Send(String, Vec<u8>),
    Reached(oneshot::Sender<()>),
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(super) struct Relay {
    commands: mpsc::UnboundedSender<Command>,
    client: Client,
    /// Bytes that were handed over and have not left.
    waiting: Arc<AtomicUsize>,
    has_warned: Arc<AtomicBool>,
}

impl Relay {
    pub(super) fn new(client: Client) -> Self {
        let (commands, mut todo) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let relay = Self { commands, client: client.clone(), waiting: waiting.clone(), has_warned: Arc::default() };
        tokio::spawn(async move {
            // The client has them, and may still be sending.
            let mut sent = 0;
            while let Some(command) = todo.recv().await {
                match command {
                    Command::Listen(subject, then) => match client.subscribe(subject).await {
                        Ok(subscriber) => then(subscriber),
                        Err(error) => tracing::warn!(%error, "NATS cannot be listened to"),
                    },
                    Command::Send(subject, bytes) => {
                        sent += bytes.len();
                        if let Err(error) = client.publish(subject, bytes.into()).await {
                            tracing::debug!(%error, "an event cannot be sent");
                        }
                        // Without a connection it is not waited for, since little is handed over then.
                        if sent >= FLUSHED
                            && (client.connection_state() != ConnectionState::Connected
                                || tokio::time::timeout(FLUSH, client.flush()).await.is_ok())
                        {
                            waiting.fetch_sub(std::mem::take(&mut sent), Ordering::Relaxed);
                        }
                    }
                    Command::Reached(reply) => drop(reply.send(())),
                }
            }
        });
        relay
    }

    /// Listen to a subject; `then` is given what is heard.
    pub(super) fn listen(&self, subject: String, then: impl FnOnce(Subscriber) + Send + 'static) {
        let _ = self.commands.send(Command::Listen(subject, Box::new(then)));
    }

    /// Send a message, if it can be sent soon or is important.
    pub(super) fn send(&self, subject: String, bytes: Vec<u8>, importance: Importance) {
        let most = match importance {
            Importance::Detail if self.client.connection_state() != ConnectionState::Connected => 0,
            Importance::Detail => MOST_DETAILS,
            Importance::Notice => MOST_BYTES,
        };
        let (length, largest) = (bytes.len(), self.client.server_info().max_payload);
        if largest > 0 && length > largest {
            if !self.has_warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    message.bytes = length,
                    nats.max_payload = largest,
                    "previews that are larger than the NATS server's max_payload are left out"
                );
            }
            return;
        }
        if self.waiting.load(Ordering::Relaxed).saturating_add(length) > most {
            tracing::debug!(message.subject = subject, "NATS is away or slow: an event is left out");
            return;
        }
        self.waiting.fetch_add(length, Ordering::Relaxed);
        let _ = self.commands.send(Command::Send(subject, bytes));
    }

    /// Resolves once all that was handed over before is on its way.
    pub(super) async fn flush(&self) {
        let (reply, reached) = oneshot::channel();
        if self.commands.send(Command::Reached(reply)).is_ok() {
            let _ = reached.await;
        }
    }
}
