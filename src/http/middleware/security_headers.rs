//! Security headers: what browsers may do with a response.
//!
//! Invariant: every response carries these headers, errors too; a route that needs a different value sets its own.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
#[cfg(feature = "swagger-ui")]
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::set_header::response::SetMultipleResponseHeadersLayer;

/// Which sites may embed a response; `cross-origin` for images.
pub(crate) const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Responses are data: they load nothing and are shown in no frame.
const DATA: &str = "default-src 'none'; frame-ancestors 'none'";
/// Swagger UI: its own files, and styles that it writes as it goes.
#[cfg(feature = "swagger-ui")]
const DOCS: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The headers, where a route has not set them.
pub(crate) fn for_data() -> SetMultipleResponseHeadersLayer<Response> {
    let headers = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, DATA),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (RESOURCE_POLICY, "same-origin"),
    ];
    let headers = headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)).into());
    SetMultipleResponseHeadersLayer::if_not_present(headers.collect())
}

/// The policy of the documentation's pages.
#[cfg(feature = "swagger-ui")]
pub(crate) fn for_docs() -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS))
}
