//! The cryptography of TLS: one implementation (ring) for every client in this process; and how much of an answer is read.
//!
//! Invariant: [`install_provider`] is called before an HTTP client is built; reqwest is built without a provider of its own,
//! so that the program contains one implementation and not two.

use std::sync::Once;

static INSTALLED: Once = Once::new();

/// Make ring the process's provider, unless the program that embeds this library has chosen one. Cheap when repeated.
pub fn install_provider() {
    INSTALLED.call_once(|| {
        // An error means that a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// A builder of HTTP clients, with the provider installed.
pub fn client_builder() -> reqwest::ClientBuilder {
    install_provider();
    reqwest::Client::builder()
}

/// The body of an answer of at most `longest` bytes; what is wrong otherwise, in words, without the address, which may hold a
/// secret.
pub async fn read_bounded(mut response: reqwest::Response, longest: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.without_url().to_string())? {
        if body.len() + chunk.len() > longest {
            return Err("its answer is too long".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
