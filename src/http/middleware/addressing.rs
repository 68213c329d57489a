//! Which host a request is for, and which address of the server its answer names.
//!
//! Invariant: what follows sees requests that name exactly one host. (A probe in HTTP/1.0 may name none.)

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::authentication::is_open;
use crate::domain::Network;
use crate::http::error::problem::Problem;
use crate::http::extract::address::{RequestHost, ServerAddress, is_trusted, request_host};

/// How addresses of this server are found.
#[derive(Clone)]
pub(crate) struct Addressing {
    configured: Option<ServerAddress>,
    proxies: Arc<[Network]>,
}

impl Addressing {
    /// `public_url`: the configured address, or empty; `proxies`: whose forwarded headers are believed.
    pub(crate) fn new(public_url: &str, proxies: &[Network]) -> Self {
        Self { configured: ServerAddress::configured(public_url), proxies: proxies.into() }
    }
}

/// Refuse a request whose host is not clear, and give the others the server's address.
pub(crate) async fn resolve_address(
    State(addressing): State<Addressing>,
    mut request: Request,
    next: Next,
) -> Response {
    let host = match request_host(request.version(), request.uri(), request.headers()) {
        Ok(RequestHost::One(host)) => host,
        Ok(RequestHost::Absent) if is_open(&request) => return next.run(request).await,
        Ok(RequestHost::Absent) => return Problem::malformed("the request has no Host header").into_response(),
        Err(message) => return Problem::malformed(message).into_response(),
    };
    let address = addressing.configured.clone().unwrap_or_else(|| {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        ServerAddress::of_request(&host, request.headers(), is_trusted(peer, &addressing.proxies))
    });
    let extensions = request.extensions_mut();
    extensions.insert(host);
    extensions.insert(address);
    next.run(request).await
}
