//! A response's body that counts until it has been sent.
//!
//! Invariant: the memory of a part counts until the last piece of it has left; it is handed over in pieces, so that a client
//! that reads slowly is seen to read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

use super::answer_permit::{AnswerPermit, CountedGuard, SMALL};
use crate::http::budget::BudgetPermit;

/// Bytes that are handed over at once.
const PIECE: usize = 64 << 10;

/// A counted body.
pub(super) struct AnswerBody {
    body: Body,
    /// What is left of the part that is being handed over.
    rest: Bytes,
    counted: Option<Arc<CountedGuard>>,
    /// None: all of the body has been counted at once.
    permit: Option<AnswerPermit>,
    _stream: Option<BudgetPermit>,
}

/// A piece that keeps its part counted.
struct Piece {
    bytes: Bytes,
    _counted: Arc<CountedGuard>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AnswerBody {
    /// Count a body, of which `size` is known or not. Where it is not, what was reserved stays taken beside its parts: it is for
    /// what they are made of.
    pub(super) fn new(body: Body, size: Option<u64>, permit: AnswerPermit, stream: Option<BudgetPermit>) -> Self {
        let (counted, permit) = match size {
            Some(size) => {
                permit.settle(size);
                (Some(Arc::new(CountedGuard::of_settled(permit, size))), None)
            }
            None => (None, Some(permit)),
        };
        Self { body, rest: Bytes::new(), counted, permit, _stream: stream }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            this.rest = match frame.into_data() {
                Ok(part) => part,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            };
            if let Some(permit) = &this.permit {
                let bytes = this.rest.len() as u64;
                this.counted = (bytes >= SMALL).then(|| Arc::new(permit.count(bytes)));
            }
        }
        let bytes = this.rest.split_to(this.rest.len().min(PIECE));
        let Some(counted) = &this.counted else { return Poll::Ready(Some(Ok(Frame::data(bytes)))) };
        let piece = Bytes::from_owner(Piece { bytes, _counted: counted.clone() });
        if this.rest.is_empty() && this.permit.is_some() {
            this.counted = None;
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
