//! What a connection is waiting for, and since when.
//!
//! Invariant: at every moment a connection is at most one of: waiting for a head, idle, at work; whatever it is waiting for
//! from its client has a deadline.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Version;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http::limits::ConnectionLimits;

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum End {
    /// No request came, or not all of its head.
    SlowHead,
    Idle,
    /// The client reads nothing of what it asked for.
    NotReading,
}

/// A connection as others see it.
#[derive(Debug)]
pub(super) struct Watch {
    state: Mutex<State>,
    limits: ConnectionLimits,
    evicted: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    /// Waiting for a head since.
    head: Option<Instant>,
    idle: Option<Instant>,
    /// The client has not read since.
    blocked: Option<Instant>,
    in_flight: u32,
    version: Option<Version>,
    /// Of the request that is under way in HTTP/1.
    exchange: Exchange,
}

/// How far a request of HTTP/1 is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Exchange {
    body_read: bool,
    answering: bool,
}

/// What the end of a client's half means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterHalfClose {
    /// The connection is over.
    Over,
    /// A request is under way whose answer has not begun.
    Working(Version),
    Answering,
}

impl Watch {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        let state = State { head: Some(Instant::now()), ..State::default() };
        Arc::new(Self { state: Mutex::new(state), limits, evicted: CancellationToken::new() })
    }

    /// Bytes came from the client.
    pub(super) fn bytes_read(&self) {
        let mut state = self.state.lock();
        // In HTTP/2 they need not belong to a request.
        if state.in_flight == 0 && state.head.is_none() && state.version != Some(Version::HTTP_2) {
            state.head = Some(Instant::now());
            state.idle = None;
        }
    }

    /// Whether the socket takes what is written.
    pub(super) fn written(&self, is_blocked: bool) {
        let mut state = self.state.lock();
        match (is_blocked, state.blocked) {
            (true, None) => state.blocked = Some(Instant::now()),
            (false, Some(_)) => state.blocked = None,
            _ => {}
        }
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.state.lock().blocked.is_some()
    }

    pub(super) fn request_began(&self, version: Version, body_read: bool) {
        let mut state = self.state.lock();
        state.in_flight += 1;
        state.version = Some(version);
        (state.head, state.idle) = (None, None);
        state.exchange = Exchange { body_read, answering: false };
    }

    /// All of the request's body has been read.
    pub(super) fn body_read(&self) {
        self.state.lock().exchange.body_read = true;
    }

    pub(super) fn answer_began(&self) {
        self.state.lock().exchange.answering = true;
    }

    pub(super) fn request_ended(&self) {
        let mut state = self.state.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        if state.in_flight == 0 {
            state.idle = Some(Instant::now());
        }
    }

    /// What it means that the client has closed its half now.
    pub(super) fn after_half_close(&self) -> AfterHalfClose {
        let state = self.state.lock();
        match state.version {
            Some(version) if version != Version::HTTP_2 && state.in_flight > 0 => match state.exchange {
                Exchange { answering: true, .. } => AfterHalfClose::Answering,
                Exchange { body_read: true, .. } => AfterHalfClose::Working(version),
                _ => AfterHalfClose::Over,
            },
            _ => AfterHalfClose::Over,
        }
    }

    /// Since when it is idle, if it is: one that has not taken all of its last answer is not.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.idle.filter(|_| state.blocked.is_none())
    }

    /// Make room for others.
    pub(super) fn evict(&self) {
        // Not chosen a second time.
        self.state.lock().idle = None;
        self.evicted.cancel();
    }

    fn deadline(&self) -> Option<(Instant, End)> {
        let state = self.state.lock();
        let due = |since: Option<Instant>, patience: Duration, end| since.map(|since| (since + patience, end));
        let deadlines = [
            due(state.head, self.limits.header_timeout, End::SlowHead),
            due(state.idle.filter(|_| state.blocked.is_none()), self.limits.idle_timeout, End::Idle),
            due(state.blocked, self.limits.write_timeout, End::NotReading),
        ];
        deadlines.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Whether no request is under way, and the last answer is gone.
    pub(super) fn is_unused(&self) -> bool {
        let state = self.state.lock();
        state.in_flight == 0 && state.blocked.is_none()
    }

    /// Resolves when the client took too long, or has to make room.
    pub(super) async fn expired(&self) -> End {
        tokio::select! {
            () = self.evicted.cancelled() => End::Idle,
            end = self.timed_out() => end,
        }
    }

    /// Resolves when the client took too long.
    pub(super) async fn timed_out(&self) -> End {
        let ConnectionLimits { header_timeout, idle_timeout, write_timeout, .. } = self.limits;
        // A deadline that is set later is no earlier than this.
        let shortest = header_timeout.min(idle_timeout).min(write_timeout);
        loop {
            let now = Instant::now();
            let next = match self.deadline() {
                Some((at, end)) if at <= now => return end,
                Some((at, _)) => at.min(now + shortest),
                None => now + shortest,
            };
            tokio::time::sleep_until(next).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_has_not_taken_its_answer_is_neither_idle_nor_unused() {
        let forever = Duration::from_hours(1);
        let watch = Watch::new(ConnectionLimits {
            max_connections: 1,
            max_per_address: 1,
            header_timeout: forever,
            idle_timeout: Duration::ZERO,
            write_timeout: forever,
        });
        watch.request_began(Version::HTTP_11, true);
        watch.answer_began();
        // The last piece is on its way, and nothing makes another.
        watch.written(true);
        watch.request_ended();
        assert!(watch.idle_since().is_none() && !watch.is_unused());
        assert_eq!(watch.deadline().unwrap().1, End::NotReading);
        watch.written(false);
        assert!(watch.idle_since().is_some() && watch.is_unused());
        assert_eq!(watch.deadline().unwrap().1, End::Idle);
    }
}
