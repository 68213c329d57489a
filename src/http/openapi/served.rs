//! The contract as it is served.
//!
//! Invariant: it names the address under which its reader can call the server, so that tools that read it from behind a proxy
//! call through that proxy.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::{OpenApi, ServerBuilder};

/// The contract, written once.
#[derive(Clone)]
pub(crate) struct ServedContract {
    contract: Arc<OpenApi>,
    text: Bytes,
    /// The configured address is in it.
    is_placed: bool,
}

impl ServedContract {
    /// `public_url`: the configured address, or empty.
    pub(crate) fn new(contract: OpenApi, public_url: &str) -> Self {
        let is_placed = !public_url.is_empty();
        let contract = if is_placed { placed(contract, public_url) } else { contract };
        let text = serde_json::to_vec(&contract).unwrap_or_default().into();
        Self { contract: Arc::new(contract), text, is_placed }
    }

    /// The contract for a client that writes this prefix before all paths.
    pub(crate) fn response(&self, prefix: &str) -> Response {
        if !self.is_placed && !prefix.is_empty() {
            return Json(placed((*self.contract).clone(), prefix)).into_response();
        }
        let json = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, json)], self.text.clone()).into_response()
    }
}

fn placed(mut contract: OpenApi, url: &str) -> OpenApi {
    contract.servers = Some(vec![ServerBuilder::new().url(url).build()]);
    contract
}
