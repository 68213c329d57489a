//! Addresses that are nearly right: slashes too many, `/v1` missing or doubled, Azure's way of writing OpenAI's routes.
//!
//! Invariant: a path is brought into its one form before anything looks at it, so that keys, limits and logs see the route that
//! answers. What is still no route is told the nearest one.

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// Paths whose slashes have a meaning of their own.
const PAGES: &str = "/docs";
/// What clients ask for below OpenAI's base address, if that lacks its `/v1`.
const IMAGE_CALLS: [&str; 3] = ["generations", "edits", "variations"];
/// Most letters that a last part of a path may differ from a route's.
const MAX_TYPOS: usize = 3;

/// Bring the path of a request into its one form.
pub(super) fn rewrite_path(mut request: Request) -> Request {
    let Some(path) = canonical_path(request.uri().path()) else { return request };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    if let Ok(path_and_query) = PathAndQuery::try_from(path + &query) {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path_and_query);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// The form of a path that routes have; `None`: it has that.
fn canonical_path(path: &str) -> Option<String> {
    if path == "/" || path.strip_prefix(PAGES).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return None;
    }
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["openai", "deployments", _, rest @ ..] => parts = ["v1"].into_iter().chain(rest.iter().copied()).collect(),
        ["openai", "v1", ..] => drop(parts.remove(0)),
        ["images", call] if IMAGE_CALLS.contains(call) => parts.insert(0, "v1"),
        ["models" | "moderations"] => parts.insert(0, "v1"),
        _ => {}
    }
    while let ["v1", "v1", ..] = parts.as_slice() {
        parts.remove(0);
    }
    let canonical = format!("/{}", parts.join("/"));
    (canonical != path).then_some(canonical)
}

/// The route that a path was meant to be, among those of the contract: the one that ends alike, or nearly.
pub(super) fn nearest_route<'a>(path: &str, routes: &'a [String]) -> Option<&'a str> {
    let asked: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let last = asked.last()?;
    let alike = |route: &str| {
        let parts = parts_of(route);
        parts.iter().rev().zip(asked.iter().rev()).take_while(|(own, asked)| own == asked).count()
    };
    let ends_alike = routes.iter().filter(|route| alike(route) > 0);
    if let Some(route) = ends_alike.max_by_key(|route| (alike(route), std::cmp::Reverse(route.len()))) {
        return Some(route);
    }
    let typos = |route: &String| parts_of(route).last().map_or(usize::MAX, |own| distance(own, last));
    let nearest = routes.iter().filter(|route| !route.ends_with('}')).min_by_key(|route| typos(route))?;
    let most = MAX_TYPOS.min(last.chars().count() / 3);
    (typos(nearest) <= most).then_some(nearest.as_str())
}

fn parts_of(route: &str) -> Vec<&str> {
    route.split('/').filter(|part| !part.is_empty()).collect()
}

/// How many letters are to be put in, left out or replaced to make one word of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_addresses_that_are_nearly_right_lead_to_the_route() {
        for (path, route) in [
            ("/images/generations", "/v1/images/generations"),
            ("/v1/images/generations/", "/v1/images/generations"),
            ("//v1/images/edits", "/v1/images/edits"),
            ("/v1/v1/images/generations", "/v1/images/generations"),
            ("/v1//images//variations", "/v1/images/variations"),
            ("/models", "/v1/models"),
            ("/models/", "/v1/models"),
            ("/openai/deployments/dall-e-3/images/generations", "/v1/images/generations"),
            ("/openai/v1/images/edits", "/v1/images/edits"),
            ("/healthz/", "/healthz"),
            ("//", "/"),
        ] {
            assert_eq!(canonical_path(path).as_deref(), Some(route), "{path}");
        }
        for path in ["/", "/docs", "/docs/", "/docs/index.css", "/models/kandinsky-mini", "/v1/models", "/images", "/x"]
        {
            assert_eq!(canonical_path(path), None, "{path}");
        }
    }

    #[test]
    fn the_query_stays() {
        let request = Request::builder().uri("/v1/jobs/?limit=3&x=//").body(axum::body::Body::empty()).unwrap();
        assert_eq!(rewrite_path(request).uri(), "/v1/jobs?limit=3&x=//");
    }

    #[test]
    fn an_unknown_path_is_told_the_nearest_route() {
        let routes = ["/v1/images/generations", "/v1/text-to-image", "/v1/jobs/{id}", "/healthz", "/v1/models"];
        let routes = routes.map(str::to_owned);
        for (path, route) in [
            ("/api/v1/images/generations", Some("/v1/images/generations")),
            ("/v1/images/generation", Some("/v1/images/generations")),
            ("/text-to-image", Some("/v1/text-to-image")),
            ("/v1/text-to-imag", Some("/v1/text-to-image")),
            ("/health", Some("/healthz")),
            ("/v1/chat/completions", None),
            ("/favicon.ico", None),
            ("/x", None),
        ] {
            assert_eq!(nearest_route(path, &routes), route, "{path}");
        }
    }
}
