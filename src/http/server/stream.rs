//! The socket of a connection, watched.
//!
//! Invariant: a client that closes its half while its request is under way gets its answer; one that is gone is noticed at
//! once. TCP does not tell the two apart until something is sent, so something harmless is: "100 Continue" before an answer,
//! a comment among events.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::watch::{AfterHalfClose, Watch};

/// How often a half-closed connection is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How often something is sent to find out whether the client is there.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// How long a client of HTTP/1.0, which knows no "100 Continue", is taken to be there.
const UNKNOWN: Duration = Duration::from_secs(1);

/// Whether the next part of a response that is a stream of events is to be a comment.
#[derive(Debug, Clone, Default)]
pub(super) struct CommentWanted(Arc<AtomicBool>);

impl CommentWanted {
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// A connection's socket.
pub(super) struct WatchedStream {
    socket: TcpStream,
    watch: Arc<Watch>,
    comment: CommentWanted,
    half_closed: Option<HalfClosed>,
}

struct HalfClosed {
    since: Instant,
    probed: Option<Instant>,
    tick: Pin<Box<Sleep>>,
}

impl WatchedStream {
    pub(super) fn new(socket: TcpStream, watch: Arc<Watch>, comment: CommentWanted) -> Self {
        Self { socket, watch, comment, half_closed: None }
    }

    /// Ready when the connection is over, or an error says that the client is gone.
    fn poll_half_closed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(half) = &mut self.half_closed else { return Poll::Ready(Ok(())) };
        loop {
            let phase = self.watch.after_half_close();
            let is_unknown = matches!(phase, AfterHalfClose::Working(version) if version < Version::HTTP_11);
            if phase == AfterHalfClose::Over || is_unknown && half.since.elapsed() > UNKNOWN {
                return Poll::Ready(Ok(()));
            }
            ready!(half.tick.as_mut().poll(context));
            half.tick.as_mut().reset(Instant::now() + TICK);
            if let Some(error) = self.socket.take_error()? {
                return Poll::Ready(Err(error));
            }
            let is_due = half.probed.is_none_or(|probed| probed.elapsed() > PROBE_INTERVAL);
            // What is being written must not be interrupted.
            if !is_due || is_unknown || self.watch.is_blocked() {
                continue;
            }
            half.probed = Some(Instant::now());
            match phase {
                AfterHalfClose::Working(_) => match self.socket.try_write(PROBE) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                    _ => {}
                },
                AfterHalfClose::Answering => self.comment.0.store(true, Ordering::Relaxed),
                AfterHalfClose::Over => {}
            }
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.half_closed.is_some() {
            return this.poll_half_closed(context);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.socket).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            this.watch.bytes_read();
            return Poll::Ready(Ok(()));
        }
        if buffer.remaining() == 0 || this.watch.after_half_close() == AfterHalfClose::Over {
            return Poll::Ready(Ok(()));
        }
        this.half_closed = Some(HalfClosed { since: Instant::now(), probed: None, tick: Box::pin(sleep(TICK)) });
        this.poll_half_closed(context)
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.watch.written(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, buffers);
        self.watch.written(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
