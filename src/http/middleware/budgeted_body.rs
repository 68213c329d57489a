//! A body that takes memory for its parts as they arrive.
//!
//! Invariant: a part is passed on only after memory for it was taken; while there is none, nothing more is read, and the
//! client has to wait.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::body_pace::{Arrival, BodyPace};
use super::body_permit::{BodyPermit, HELD};
use crate::http::error::problem::Problem;

/// A part that waits for room.
struct Waiting {
    part: Bytes,
    since: Instant,
    room: Pin<Box<dyn Future<Output = Result<(), Problem>> + Send>>,
}

/// A body within the budget.
pub(super) struct BudgetedBody {
    /// None: it has failed.
    body: Option<Body>,
    permit: BodyPermit,
    pace: BodyPace,
    arrival: Option<Arrival>,
    deadline: Pin<Box<Sleep>>,
    waiting: Option<Waiting>,
    /// Why it failed, for the response.
    failure: Arc<OnceLock<Problem>>,
}

/// A body that was given up; the response says why.
#[derive(Debug, thiserror::Error)]
#[error("the body was given up")]
struct GivenUp;

impl BudgetedBody {
    pub(super) fn new(body: Body, permit: BodyPermit, pace: BodyPace, failure: Arc<OnceLock<Problem>>) -> Self {
        let deadline = Box::pin(sleep_until(Instant::now() + pace.pause));
        Self { body: Some(body), permit, pace, arrival: None, deadline, waiting: None, failure }
    }

    fn give_up(&mut self, problem: Problem) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let _ = self.failure.set(problem);
        (self.body, self.waiting) = (None, None);
        Poll::Ready(Some(Err(axum::Error::new(GivenUp))))
    }

    fn pass_on(&mut self, part: Bytes, waited: Duration) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let now = Instant::now();
        let arrival = self.arrival.get_or_insert_with(|| Arrival::begin(now));
        arrival.add(part.len(), waited, now);
        let deadline = arrival.deadline(&self.pace);
        self.deadline.as_mut().reset(deadline);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }
}

impl HttpBody for BudgetedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Some(waiting) = &mut this.waiting {
            let grown = ready!(waiting.room.as_mut().poll(context));
            let (part, waited) = (std::mem::take(&mut waiting.part), waiting.since.elapsed());
            this.waiting = None;
            return match grown {
                Ok(()) => this.pass_on(part, waited),
                Err(problem) => this.give_up(problem),
            };
        }
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if this.arrival.is_none() {
            this.arrival = Some(Arrival::begin(Instant::now()));
            this.deadline.as_mut().reset(Instant::now() + this.pace.pause);
        }
        let frame = match Pin::new(body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(this.deadline.as_mut().poll(context));
                return this.give_up(Problem::body_timeout());
            }
        };
        let part = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(part) => part,
                // Trailers are headers, which have bounds of their own.
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            },
            other => return Poll::Ready(other),
        };
        let bytes = HELD * part.len() as u64;
        if this.permit.try_grow(bytes) {
            return this.pass_on(part, Duration::ZERO);
        }
        let permit = this.permit.clone();
        let room = Box::pin(async move { permit.grow(bytes).await });
        this.waiting = Some(Waiting { part, since: Instant::now(), room });
        self.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.body, &self.waiting) {
            (Some(body), None) => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}
