//! Bodies that are answered before they were read to their end.
//!
//! Invariant: a client that is still sending when it is refused receives the response: what it sends is read and discarded
//! for a bounded time and number of bytes, since closing at once would break its connection before it reads the response.

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

/// Most bytes that are discarded.
const MAX_BYTES: usize = 16 << 20;
/// Longest time that bytes are discarded for.
const MAX_DURATION: Duration = Duration::from_secs(5);

/// A body that can be taken back from a handler that stopped reading it.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Option<BodyDataStream>>>);

impl SharedBody {
    fn take_back(&self) -> Option<BodyDataStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Stream for SharedBody {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match body.as_mut() {
            Some(stream) => stream.poll_next_unpin(context),
            None => Poll::Ready(None),
        }
    }
}

/// Answer, and read on for a while if the body has not ended.
pub(crate) async fn drain_body(request: Request, next: Next) -> Response {
    // A client that sends `Expect` sends no body when it is refused.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let shared = SharedBody(Arc::new(Mutex::new(Some(body.into_data_stream()))));
    let response = next.run(Request::from_parts(head, Body::from_stream(shared.clone()))).await;
    if let Some(rest) = shared.take_back()
        && !rest.is_end_stream()
    {
        tokio::spawn(tokio::time::timeout(MAX_DURATION, discard(rest)));
    }
    response
}

async fn discard(mut rest: BodyDataStream) {
    let mut read = 0;
    while let Some(Ok(bytes)) = rest.next().await {
        read += bytes.len();
        if read > MAX_BYTES {
            break;
        }
    }
}
