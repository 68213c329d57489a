//! Bodies that are answered before they were read to their end.
//!
//! Invariant: a client that is still sending when it is refused gets to hear why: what it sends is read and forgotten for a
//! bounded time and number of bytes, since closing at once would break its connection before it looks for the answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt as _};

/// Most bytes that are read for nothing.
const MOST_BYTES: usize = 16 << 20;
/// Longest time for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A body that can be taken back from a handler that gave up reading it.
#[derive(Clone)]
struct Lent(Arc<Mutex<Option<BodyDataStream>>>);

impl Lent {
    fn back(&self) -> Option<BodyDataStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match body.as_mut() {
            Some(stream) => stream.poll_next_unpin(context),
            None => Poll::Ready(None),
        }
    }
}

/// Answer, and read on for a while where the body has not ended.
pub(super) async fn read_on(request: Request, next: Next) -> Response {
    // Who asks first, by `Expect`, sends nothing when refused.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let lent = Lent(Arc::new(Mutex::new(Some(body.into_data_stream()))));
    let response = next.run(Request::from_parts(head, Body::from_stream(lent.clone()))).await;
    if let Some(rest) = lent.back()
        && !rest.is_end_stream()
    {
        tokio::spawn(tokio::time::timeout(PATIENCE, forget(rest)));
    }
    response
}

async fn forget(mut rest: BodyDataStream) {
    let mut read = 0;
    while let Some(Ok(bytes)) = rest.next().await {
        read += bytes.len();
        if read > MOST_BYTES {
            break;
        }
    }
}
