//! Streams of HTTP/2, each watched for whether its client takes what it asked for.
//!
//! Invariant: a stream whose client gives no window for the write timeout is reset; the connection's others go on.

use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::time::Instant;

tokio::task_local! {
    static STREAM: Arc<Stall>;
}

/// Since when a stream has had something that its client does not take.
#[derive(Debug, Default)]
pub(super) struct Stall(Mutex<Option<Instant>>);

impl Stall {
    /// The stream that is being served by this task; None in HTTP/1.
    pub(super) fn current() -> Option<Arc<Self>> {
        STREAM.try_with(Arc::clone).ok()
    }

    /// A part of the response was taken over for sending, or there is none for now.
    pub(super) fn note(&self, has_part: bool) {
        *self.0.lock() = has_part.then(Instant::now);
    }

    async fn stalled(&self, patience: Duration) {
        loop {
            let now = Instant::now();
            let until = self.0.lock().map_or(now, |since| since) + patience;
            if until <= now {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// Runs the streams of connections, each in a task.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    pub(super) write_timeout: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let (stall, patience) = (Arc::new(Stall::default()), self.write_timeout);
        tokio::spawn(async move {
            tokio::select! {
                () = STREAM.scope(stall.clone(), stream) => {}
                // Dropping the stream resets it.
                () = stall.stalled(patience) => crate::metrics::CONNECTIONS_CLOSED.add(1, ["not_reading"]),
            }
        });
    }
}
