//! Pages in browsers that are not this server's own.
//!
//! A browser sends what any page tells it to, and reaches servers that only its machine can reach. Where a request needs no
//! key, or one that the browser adds by itself (Basic), a page of another site could therefore use the server.
//!
//! Invariant: such a request is answered only under the server's own names (so that no other site's name leads here: DNS
//! rebinding), and only to pages of its own origin or of those that the operator named. Public routes are open.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::authentication::{IMAGE, SentByBrowser, is_open, is_read};
use crate::http::error::problem::Problem;
use crate::http::extract::address::{ServerAddress, literal};

/// Names and origins that count as the server's own, beside the request's.
#[derive(Clone)]
pub(crate) struct BrowserRules {
    keyless: bool,
    public: Option<ServerAddress>,
    /// In lower case; `*`: all.
    hosts: Arc<[String]>,
    /// `*`: all.
    origins: Arc<[String]>,
}

impl BrowserRules {
    /// `keyless`: requests need no key; `hosts`: names under which the server answers; `origins`: of pages that may call.
    pub(crate) fn new(keyless: bool, public_url: &str, hosts: &[String], origins: &[String]) -> Self {
        let hosts = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Self { keyless, public: ServerAddress::configured(public_url), hosts, origins: origins.into() }
    }

    /// Whether a request under this name can only be meant for this server.
    fn is_own_name(&self, host: &Authority) -> bool {
        let name = host.host().trim_end_matches('.').to_ascii_lowercase();
        let public = self.public.as_ref().and_then(|address| address.base().parse::<Uri>().ok());
        literal(host).is_some()
            || name == "localhost"
            // Browsers look up no name below it (RFC 6761).
            || name.ends_with(".localhost")
            || public.and_then(|uri| uri.host().map(str::to_ascii_lowercase)).is_some_and(|public| public == name)
            || self.hosts.iter().any(|host| *host == name || host == "*")
    }

    /// The origin that a request comes from, if it is a page that may not call.
    fn foreign_origin(&self, request: &Request) -> Option<String> {
        let headers = request.headers();
        let site = headers.get("sec-fetch-site").map(|site| site.to_str().unwrap_or_default());
        // Pages cannot write this header, and the browser says that it is the server's own page, or the person.
        if matches!(site, Some("same-origin" | "none")) || self.origins.iter().any(|origin| origin == "*") {
            return None;
        }
        let mut origins = headers.get_all(header::ORIGIN).iter().peekable();
        if origins.peek().is_some() {
            let texts = origins.map(|origin| origin.to_str().unwrap_or("null"));
            return texts.into_iter().find(|origin| !self.is_own_origin(origin, request)).map(str::to_owned);
        }
        // Neither header: no page, or one that cannot read the answer of what changes nothing.
        site?;
        (!is_shown_image(request)).then(|| "another origin".to_owned())
    }

    fn is_own_origin(&self, origin: &str, request: &Request) -> bool {
        let extensions = request.extensions();
        let same_host = || {
            let host = extensions.get::<Authority>()?;
            let (_, authority) = origin.split_once("://")?;
            Some(without_usual_port(authority).eq_ignore_ascii_case(without_usual_port(host.as_str())))
        };
        let same_address = |address: &ServerAddress| address.origin().is_some_and(|own| own == origin);
        self.origins.iter().any(|allowed| allowed == origin)
            || same_host().unwrap_or_default()
            || extensions.get::<ServerAddress>().is_some_and(same_address)
    }
}

/// An authority without the port that http and https leave out.
fn without_usual_port(authority: &str) -> &str {
    authority.strip_suffix(":80").or_else(|| authority.strip_suffix(":443")).unwrap_or(authority)
}

/// Whether a page shows an image whose address it was given: it sees nothing of what it shows.
fn is_shown_image(request: &Request) -> bool {
    let is = |name: &str, wanted: &[&str]| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| wanted.contains(&value))
    };
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    route == Some(IMAGE) && is_read(request.method()) && is("sec-fetch-dest", &["image", "document"])
}

/// Refuse pages of other origins where no key keeps them out.
pub(crate) async fn refuse_foreign_pages(State(rules): State<BrowserRules>, request: Request, next: Next) -> Response {
    let adds_key_itself = request.extensions().get::<SentByBrowser>().is_some();
    let is_route = request.extensions().get::<MatchedPath>().is_some();
    if !(rules.keyless || adds_key_itself) || !is_route || is_open(&request) {
        return next.run(request).await;
    }
    if rules.keyless
        && let Some(host) = request.extensions().get::<Authority>().filter(|host| !rules.is_own_name(host))
    {
        return Problem::foreign_host(host.host()).into_response();
    }
    match rules.foreign_origin(&request) {
        Some(origin) => Problem::foreign_origin(&origin).into_response(),
        None => next.run(request).await,
    }
}
