//! Request ids.
//!
//! Invariant: every response carries `x-request-id`, and it is the one in the log and in problem documents.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is taken from a client, bytes.
const MAX_BYTES: usize = 128;

/// The id of a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Give the request an id: the client's own if it is short and printable, or else a new one.
pub(crate) async fn assign_request_id(mut request: Request, next: Next) -> Response {
    let is_valid = |id: &&str| (1..=MAX_BYTES).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    let given = request.headers().get(HEADER).and_then(|id| id.to_str().ok()).filter(is_valid);
    let id = given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    let value = HeaderValue::from_str(&id);
    request.extensions_mut().insert(RequestId(id));
    let mut response = next.run(request).await;
    if let Ok(value) = value {
        response.headers_mut().insert(HEADER, value);
    }
    response
}
