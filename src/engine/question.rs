//! Questions that a worker answers between two steps: what CLIP makes of texts and of images.
//!
//! Invariant: a question changes no image; when a worker is lost, whoever asked what it had in hand is told so, and
//! questions that wait are answered by the worker that comes back.

use tokio::sync::oneshot;

use crate::domain::{Failure, Image};

/// What is asked about.
#[derive(Debug)]
pub(super) enum Subject {
    Texts(Vec<String>),
    Images(Vec<Image>),
}

/// For each text the embeddings of its parts, for each image one; `[width]` numbers each.
pub(super) type Embeddings = Result<Vec<Vec<Vec<f32>>>, Failure>;

/// A question on its way to a worker.
pub(super) struct Question {
    pub(super) subject: Subject,
    pub(super) answer: oneshot::Sender<Embeddings>,
}
