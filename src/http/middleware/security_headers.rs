//! Security headers: what browsers may do with a response.
//!
//! Invariant: every response carries these headers, errors too; a route that needs a different value sets its own.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
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

/// The content security policy of a page: only its inline scripts and those of this server run.
pub(crate) fn page_policy(page: &str) -> HeaderValue {
    let scripts = page.split("<script>").skip(1).filter_map(|rest| rest.split_once("</script>"));
    let hashes = scripts.map(|(script, _)| format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(script))));
    let policy = format!(
        "default-src 'none'; script-src 'self'{}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
         connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        hashes.collect::<String>()
    );
    HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static(DATA))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_in_a_page_run_by_their_hashes() {
        // As `printf 'alert(1)' | openssl dgst -sha256 -binary | base64` has it.
        let policy = page_policy("<p>x</p><script>alert(1)</script><script src='/a.js'></script>");
        let policy = policy.to_str().unwrap();
        let own = "script-src 'self' 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=';";
        assert!(policy.contains(own), "{policy}");
    }
}
