//! Why nothing was fetched, in words for the caller who named the URL.
//!
//! Invariant: a name that does not exist and a name of a private address look the same, so that no caller can map a private
//! network by asking.

use std::error::Error;

use reqwest::Url;

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the client for fetching could not be made")]
    Client(#[source] reqwest::Error),
    #[error("not a URL that can be fetched: {0}")]
    Url(String),
    #[error("the scheme must be {0}")]
    Scheme(&'static str),
    #[error("a URL with a user name or password is not fetched")]
    Credentials,
    #[error("port {0} is not for HTTP")]
    Port(u16),
    #[error("{0} has no address that may be fetched from")]
    Address(String),
    #[error("the server redirects (status {0}) where no redirect is followed")]
    Redirected(u16),
    #[error("more than {0} redirects")]
    TooManyRedirects(usize),
    #[error("the server answered with status {0}")]
    Status(u16),
    #[error("not an image, but \"{0}\"")]
    ContentType(String),
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    #[error("the server has no room for it now")]
    NoRoom,
    #[error("no answer in time")]
    Timeout,
    #[error("the connection to {0} failed")]
    Connection(String, #[source] reqwest::Error),
}

impl FetchError {
    /// The error, with the operator's setting that would allow what it refuses; `open`: the setting is on.
    #[must_use]
    pub fn explain(&self, open: bool, setting: &str) -> String {
        if !open && matches!(self, Self::Scheme(_) | Self::Address(_)) {
            return format!("{self} (http and private networks are the operator's to allow: {setting})");
        }
        self.to_string()
    }

    /// What stopped a request to `url`.
    pub(super) fn sending(url: &Url, error: reqwest::Error) -> Self {
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(inner) = cause {
            if inner.is::<Refused>() {
                return Self::Address(host);
            }
            cause = inner.source();
        }
        if error.is_timeout() { Self::Timeout } else { Self::Connection(host, error) }
    }
}

/// What the resolver says through the HTTP client's errors.
#[derive(Debug, thiserror::Error)]
#[error("no address that may be fetched from")]
pub(super) struct Refused;
