//! `Accept`: what kind of response a client wants.

use axum::http::{HeaderMap, header};

use crate::domain::{Format, VariantArray as _};

/// The kind of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseKind {
    Json,
    /// The bytes of the one image; None: in the format that the request names.
    Image(Option<Format>),
    Events,
}

impl ResponseKind {
    /// The kind that `Accept` prefers among those there are, the first of several with the same weight; JSON if it names none.
    pub(crate) fn preferred(headers: &HeaderMap) -> Self {
        let mut best = (0.0, Self::Json);
        let lists = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for range in lists.flat_map(|list| list.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse::<f32>().ok());
            let weight = weight.unwrap_or(1.0);
            let kind = match media_type.as_str() {
                "application/json" | "application/*" | "*/*" => Self::Json,
                "text/event-stream" => Self::Events,
                "image/*" => Self::Image(None),
                other => match Format::VARIANTS.iter().copied().find(|format| format.media_type() == other) {
                    Some(format) => Self::Image(Some(format)),
                    None => continue,
                },
            };
            if weight > best.0 {
                best = (weight, kind);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_kind_wins_and_the_first_among_equals() {
        for (accept, want) in [
            ("", ResponseKind::Json),
            ("*/*", ResponseKind::Json),
            ("text/html", ResponseKind::Json),
            ("image/webp", ResponseKind::Image(Some(Format::Webp))),
            ("image/*", ResponseKind::Image(None)),
            ("application/json;q=0.5, image/png", ResponseKind::Image(Some(Format::Png))),
            ("text/event-stream, application/json", ResponseKind::Events),
            ("image/jpeg;q=0, application/json;q=0.1", ResponseKind::Json),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(ResponseKind::preferred(&headers), want, "{accept}");
        }
    }
}
