//! Questions that a worker answers between two steps: what CLIP makes of texts and of pictures.
//!
//! Invariant: a question changes no picture; a worker that is lost leaves its questions unanswered, which whoever asked
//! hears at once.

use tokio::sync::oneshot;

use crate::domain::{Failure, Picture};

/// What is asked about.
#[derive(Debug)]
pub(super) enum Subject {
    Texts(Vec<String>),
    Picture(Picture),
}

/// Embeddings of `[width]` numbers each.
pub(super) type Embeddings = Result<Vec<Vec<f32>>, Failure>;

/// A question on its way to a worker.
pub(super) struct Question {
    pub(super) subject: Subject,
    pub(super) answer: oneshot::Sender<Embeddings>,
}
