//! Bodies that are answered before they were read to their end.
//!
//! Invariant: a client that is still sending when it is refused receives the response: what it sends is read and discarded
//! for a bounded time and number of bytes, since closing at once would break its connection before it reads the response.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;

/// Most bytes that are discarded.
const MAX_BYTES: usize = 16 << 20;
/// Longest time that bytes are discarded for.
const MAX_DURATION: Duration = Duration::from_secs(5);

/// A body that can be taken back from a handler that stopped reading it. It knows as much of its size as the one inside.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Option<Body>>>);

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.0.lock().as_mut() {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

/// Answer, and read on for a while if the body has not ended.
pub(crate) async fn drain_body(request: Request, next: Next) -> Response {
    // A client that sends `Expect` sends no body when it is refused.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let shared = SharedBody(Arc::new(Mutex::new(Some(body))));
    let response = next.run(Request::from_parts(head, Body::new(shared.clone()))).await;
    let rest = shared.0.lock().take();
    if let Some(rest) = rest.filter(|rest| !rest.is_end_stream()) {
        tokio::spawn(tokio::time::timeout(MAX_DURATION, discard(rest)));
    }
    response
}

async fn discard(rest: Body) {
    let (mut rest, mut read) = (rest.into_data_stream(), 0);
    while let Some(Ok(bytes)) = rest.next().await {
        read += bytes.len();
        if read > MAX_BYTES {
            break;
        }
    }
}
