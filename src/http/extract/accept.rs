//! `Accept` and `Accept-Encoding`: what kind of response a client wants.

use axum::http::{HeaderMap, header};
use mediatype::{MediaType, MediaTypeList, ReadParams as _, names};

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
        let lists = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut best = (0.0, Self::Json);
        for range in lists.flat_map(MediaTypeList::new).filter_map(Result::ok) {
            let weight = range.get_param(names::Q).and_then(|q| q.as_str().parse::<f32>().ok()).unwrap_or(1.0);
            if let Some(kind) = Self::of_range(&range).filter(|_| weight > best.0) {
                best = (weight, kind);
            }
        }
        best.1
    }

    /// The kind that a media range stands for.
    fn of_range(range: &MediaType) -> Option<Self> {
        match range.essence().to_string().to_ascii_lowercase().as_str() {
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            "text/event-stream" => Some(Self::Events),
            "image/*" => Some(Self::Image(None)),
            other => {
                let format = *Format::VARIANTS.iter().find(|format| format.media_type() == other)?;
                Some(Self::Image(Some(format)))
            }
        }
    }
}

/// Whether the client takes a body in gzip's format.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let weight = |wanted: &str| {
        let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        lists.flat_map(|list| list.split(',')).find_map(|coding| {
            let (name, parameter) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = parameter.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok());
            name.trim().eq_ignore_ascii_case(wanted).then_some(weight.unwrap_or(1.0))
        })
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
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
            ("*/*, image/png", ResponseKind::Json),
            ("image/png , */*", ResponseKind::Image(Some(Format::Png))),
            ("Image/PNG; x=\"a, b\"; Q=0.5, application/json; q=.4", ResponseKind::Image(Some(Format::Png))),
            ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", ResponseKind::Image(Some(Format::Jpeg))),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(ResponseKind::preferred(&headers), want, "{accept}");
        }
    }

    #[test]
    fn gzip_is_for_those_who_name_it() {
        for (accept, want) in [
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, GZIP;q=0.8", true),
            ("*", true),
            ("*;q=0", false),
            ("gzip;q=0, *", false),
            ("identity", false),
            ("x-gzip-like", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, accept.parse().unwrap());
            assert_eq!(accepts_gzip(&headers), want, "{accept}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
