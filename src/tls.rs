//! The cryptography of TLS: one implementation (ring) for every client in this process.
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
