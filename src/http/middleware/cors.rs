//! Which pages of other origins may call.

use axum::http::HeaderValue;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

/// Let pages of these origins call, or of all where one is `*`.
pub(crate) fn for_origins(origins: &[String]) -> CorsLayer {
    // Browsers do not count Authorization among any headers: it must be named.
    let headers = AllowHeaders::mirror_request();
    let layer = CorsLayer::new().allow_methods(Any).allow_headers(headers).expose_headers(Any);
    if origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(Any);
    }
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    if origins.is_empty() { CorsLayer::new() } else { layer.allow_origin(origins) }
}
