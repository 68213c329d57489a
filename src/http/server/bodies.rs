//! Bodies of requests and responses, watched.
//!
//! Invariant: a request is under way from its head until its response's body is dropped, whichever way that happens.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Response, header};
use http_body::{Frame, SizeHint};

use super::stall::Stall;
use super::stream::CommentWanted;
use super::watch::Watch;
use crate::http::budget::BudgetPermit;

/// Tells a connection's watch that the request is over, and holds the request's place.
pub(super) struct RequestGuard {
    pub(super) watch: Arc<Watch>,
    pub(super) permit: BudgetPermit,
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.watch.request_ended();
    }
}

/// A request's body that says when it has been read.
pub(super) struct WatchedRequest<B> {
    pub(super) body: B,
    pub(super) watch: Arc<Watch>,
}

impl<B: HttpBody + Unpin> HttpBody for WatchedRequest<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.watch.body_read();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response's body, which keeps its request under way.
pub(super) struct WatchedResponse {
    body: Body,
    /// Where the response is a stream of events: what asks for a comment.
    comment: Option<CommentWanted>,
    stall: Option<Arc<Stall>>,
    _request: RequestGuard,
}

impl WatchedResponse {
    /// Watch the body of a response.
    pub(super) fn wrap(response: Response<Body>, request: RequestGuard, comment: CommentWanted) -> Response<Self> {
        let media_type = response.headers().get(header::CONTENT_TYPE);
        let is_events = media_type.is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/event-stream"));
        let comment = is_events.then_some(comment);
        response.map(|body| Self { body, comment, stall: Stall::current(), _request: request })
    }
}

impl HttpBody for WatchedResponse {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = match &self.comment {
            // Each part is a whole event.
            Some(comment) if comment.take() => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n"))))),
            _ => Pin::new(&mut self.body).poll_frame(context),
        };
        if let Some(stall) = &self.stall {
            stall.note(matches!(&frame, Poll::Ready(Some(Ok(_)))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
