//! Which pages of other origins may call.

use std::time::Duration;

use axum::http::HeaderValue;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

/// How long browsers may remember what a preflight allowed; some of them cap it at this.
const MAX_AGE: Duration = Duration::from_hours(2);

/// Let pages of these origins call, or of all where one is `*`.
pub(crate) fn for_origins(origins: &[String]) -> CorsLayer {
    // Browsers do not count Authorization among any headers: it must be named.
    let headers = AllowHeaders::mirror_request();
    let layer = CorsLayer::new().allow_methods(Any).allow_headers(headers).expose_headers(Any).max_age(MAX_AGE);
    if origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(Any);
    }
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    if origins.is_empty() { CorsLayer::new() } else { layer.allow_origin(origins) }
}
