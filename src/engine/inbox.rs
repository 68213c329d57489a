//! What comes to a worker.
//!
//! Invariant: bounded; requests for images wait where they are while the worker has enough of them, and do not hold up
//! requests for embeddings.

use tokio::sync::mpsc;

use super::embed::EmbedRequest;
use super::event::Event;
use super::load::LoadGuard;
use super::request::GenerationRequest;

/// Requests that may wait for a worker.
const MAX_WAITING: usize = 64;
/// Requests for embeddings that may wait for it.
const MAX_WAITING_EMBEDS: usize = 64;

/// A request on its way to a worker.
pub(super) struct WorkerMessage {
    pub(super) request: Box<GenerationRequest>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    pub(super) load: LoadGuard,
}

/// A worker's end of its channels.
pub(super) struct Inbox {
    pub(super) requests: mpsc::Receiver<WorkerMessage>,
    pub(super) embeds: mpsc::Receiver<EmbedRequest>,
}

/// The other end of them.
#[derive(Clone)]
pub(super) struct Outbox {
    pub(super) requests: mpsc::Sender<WorkerMessage>,
    pub(super) embeds: mpsc::Sender<EmbedRequest>,
}

/// The next message for a worker that has nothing to do.
pub(super) enum Incoming {
    Request(WorkerMessage),
    Embed(EmbedRequest),
}

/// The two ends of a worker's channels.
pub(super) fn channel() -> (Outbox, Inbox) {
    let (requests, waiting) = mpsc::channel(MAX_WAITING);
    let (embeds, waiting_embeds) = mpsc::channel(MAX_WAITING_EMBEDS);
    (Outbox { requests, embeds }, Inbox { requests: waiting, embeds: waiting_embeds })
}

impl Inbox {
    /// Wait for either; `None` once all senders are gone.
    pub(super) async fn next(&mut self) -> Option<Incoming> {
        tokio::select! {
            biased;
            Some(embed) = self.embeds.recv() => Some(Incoming::Embed(embed)),
            request = self.requests.recv() => request.map(Incoming::Request),
        }
    }

    /// Take no more.
    pub(super) fn close(&mut self) {
        self.requests.close();
        self.embeds.close();
    }
}
