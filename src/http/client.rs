//! What a request says of its client: who it is, and how it wants to be answered.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};

use super::auth::Caller;
use super::layers::RequestId;
use crate::domain::Format;

/// Longest idempotency key, bytes.
const KEY_BYTES: usize = 255;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    /// The bytes of the one picture; None: in the format that the request says.
    Picture(Option<Format>),
    Events,
}

/// The client of a request.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) caller: Caller,
    pub(super) request_id: String,
    pub(super) form: Form,
    /// Whether it wants to be answered before the work is done.
    pub(super) respond_async: bool,
    pub(super) idempotency_key: Option<Result<String, &'static str>>,
    /// `http://host` as the client wrote it, for addresses that it is given.
    pub(super) origin: String,
    pub(super) last_event_id: Option<u64>,
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let headers = &parts.headers;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let prefers = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let scheme = text("x-forwarded-proto").filter(|scheme| ["http", "https"].contains(scheme)).unwrap_or("http");
        let host = text("host").or_else(|| parts.uri.authority().map(Authority::as_str));
        // What is written into addresses must be one.
        let host = host.filter(|host| host.parse::<Authority>().is_ok_and(|parsed| !parsed.as_str().contains('@')));
        Ok(Self {
            caller: parts.extensions.get::<Caller>().cloned().unwrap_or_default(),
            request_id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
            form: form(headers),
            respond_async: prefers
                .flat_map(|value| value.split(','))
                .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async")),
            idempotency_key: headers.get("idempotency-key").map(|key| match key.to_str() {
                Ok(key) if (1..=KEY_BYTES).contains(&key.len()) => Ok(key.to_owned()),
                _ => Err("must be 1 to 255 visible ASCII characters"),
            }),
            origin: host.map(|host| format!("{scheme}://{host}")).unwrap_or_default(),
            last_event_id: text("last-event-id").and_then(|id| id.trim().parse().ok()),
        })
    }
}

/// The form that `Accept` likes best among those there are.
fn form(headers: &HeaderMap) -> Form {
    let mut best = (0.0, Form::Json);
    let lists = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in lists.flat_map(|list| list.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0);
        let form = match media_type.as_str() {
            "application/json" | "application/*" | "*/*" => Form::Json,
            "text/event-stream" => Form::Events,
            "image/*" => Form::Picture(None),
            other => match Format::ALL.into_iter().find(|format| format.media_type() == other) {
                Some(format) => Form::Picture(Some(format)),
                None => continue,
            },
        };
        if weight > best.0 {
            best = (weight, form);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_liked_form_wins_and_the_first_among_equals() {
        for (accept, want) in [
            ("", Form::Json),
            ("*/*", Form::Json),
            ("text/html", Form::Json),
            ("image/webp", Form::Picture(Some(Format::Webp))),
            ("image/*", Form::Picture(None)),
            ("application/json;q=0.5, image/png", Form::Picture(Some(Format::Png))),
            ("text/event-stream, application/json", Form::Events),
            ("image/jpeg;q=0, application/json;q=0.1", Form::Json),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(form(&headers), want, "{accept}");
        }
    }
}
