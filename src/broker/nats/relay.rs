//! What is sent, in order, and what is listened to.
//!
//! Invariant: what is handed over in one order is sent in that order, so that a listener that is there first misses nothing that is
//! sent later; handing over never waits.

use async_nats::{Client, Subscriber};
use tokio::sync::{mpsc, oneshot};

/// What is to be done, one after another.
enum Command {
    Listen(String, Box<dyn FnOnce(Subscriber) + Send>),
    Send(String, Vec<u8>),
    Reached(oneshot::Sender<()>),
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(super) struct Relay(mpsc::UnboundedSender<Command>);

impl Relay {
    pub(super) fn new(client: Client) -> Self {
        let (commands, mut todo) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(command) = todo.recv().await {
                match command {
                    Command::Listen(subject, then) => match client.subscribe(subject).await {
                        Ok(subscriber) => then(subscriber),
                        Err(error) => tracing::warn!(%error, "NATS cannot be listened to"),
                    },
                    Command::Send(subject, bytes) => {
                        if let Err(error) = client.publish(subject, bytes.into()).await {
                            tracing::debug!(%error, "an event cannot be sent");
                        }
                    }
                    Command::Reached(reply) => drop(reply.send(())),
                }
            }
        });
        Self(commands)
    }

    /// Listen to a subject; `then` is given what is heard.
    pub(super) fn listen(&self, subject: String, then: impl FnOnce(Subscriber) + Send + 'static) {
        let _ = self.0.send(Command::Listen(subject, Box::new(then)));
    }

    pub(super) fn send(&self, subject: String, bytes: Vec<u8>) {
        let _ = self.0.send(Command::Send(subject, bytes));
    }

    /// Resolves once all that was handed over before is on its way.
    pub(super) async fn flush(&self) {
        let (reply, reached) = oneshot::channel();
        if self.0.send(Command::Reached(reply)).is_ok() {
            let _ = reached.await;
        }
    }
}
