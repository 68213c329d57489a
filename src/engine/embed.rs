//! Requests for CLIP's embeddings, which a worker answers between two steps.
//!
//! Invariant: they change no image; when a worker is lost, the request it was working on fails, and those that wait are
//! answered by the worker that comes back.

use tokio::sync::oneshot;

use crate::domain::{Failure, Image};

/// What is to be embedded.
#[derive(Debug)]
pub(super) enum EmbedInput {
    Texts(Vec<String>),
    Images(Vec<Image>),
}

/// For each text the embeddings of its parts, for each image one; `[width]` numbers each.
pub(super) type Embeddings = Result<Vec<Vec<Vec<f32>>>, Failure>;

/// A request for embeddings on its way to a worker.
pub(super) struct EmbedRequest {
    pub(super) input: EmbedInput,
    pub(super) reply: oneshot::Sender<Embeddings>,
}
