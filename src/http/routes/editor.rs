//! The web editor: its page at `/`, and the page's files below `/assets/`.
//!
//! Invariant: what is served is a file of `web/` as compiled in, or of the folder that the operator named and no other, and the
//! page runs no script but these files. A browser asks each time whether its copy is current, so an upgrade is never mixed with
//! what was before.

mod source;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path as FilePath;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::{Compression, write::GzEncoder};
use headers::{ETag, HeaderMapExt as _, IfNoneMatch};
use sha2::{Digest as _, Sha256};

use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::accept::accepts_gzip;
use crate::http::extract::request_context::RequestContext;

/// The page, from which browsers find all else.
pub const INDEX: &str = "index.html";
/// The files of `web/`, by their paths in it.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/web.rs"));
/// Media types by extension, and whether compressing such a file makes it smaller.
const TYPES: [(&str, &str, bool); 9] = [
    ("html", "text/html; charset=utf-8", true),
    ("js", "text/javascript; charset=utf-8", true),
    ("css", "text/css; charset=utf-8", true),
    ("svg", "image/svg+xml", true),
    ("webmanifest", "application/manifest+json", true),
    ("png", "image/png", false),
    ("webp", "image/webp", false),
    ("ico", "image/x-icon", false),
    ("", "text/plain; charset=utf-8", true),
];
/// What the page may do. Texts cannot become markup or code (Trusted Types): only lit-html's templates and the workers' own
/// addresses can.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; \
     worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types lit-html kandinsky-worker";
/// Powers that the page does without, whatever is loaded into it.
const PERMISSIONS: &str =
    "camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=(), serial=(), hid=(), midi=()";

/// Code of others is sent as it came.
const VENDORED: &str = "vendor/";

/// A file as it is sent.
#[derive(Clone)]
struct Asset {
    media_type: &'static str,
    body: Bytes,
    /// The same in gzip's format.
    gzip: Option<Bytes>,
    /// Of the content.
    digest: String,
}

impl Asset {
    /// None: the name is not one of a file that pages load.
    fn new(name: &str, body: Bytes) -> Option<Self> {
        let extension = FilePath::new(name).extension().unwrap_or_default();
        let (_, media_type, shrinks) = TYPES.into_iter().find(|(known, ..)| extension == *known)?;
        let is_own_code = (extension == "js" || extension == "css") && !name.starts_with(VENDORED);
        let body = match str::from_utf8(&body) {
            Ok(text) if is_own_code => source::lean(text).into(),
            _ => body,
        };
        let compressed = |body: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(body).and_then(|()| encoder.finish()).ok()
        };
        let gzip = shrinks.then(|| compressed(&body)).flatten().map(Bytes::from);
        let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..16]);
        Some(Self { media_type, body, gzip, digest })
    }
}

/// The page.
pub(crate) async fn page(State(state): State<AppState>, context: RequestContext, headers: HeaderMap) -> Response {
    // Relative addresses hold below a path only if the browser's own ends with a slash, which a proxy may have left out.
    let prefix = context.address.prefix();
    match find(&state, INDEX).await {
        Some(page) if !prefix.is_empty() => {
            let text = String::from_utf8_lossy(&page.body).replace("=\"assets/", &format!("=\"{prefix}/assets/"));
            Asset::new(INDEX, text.into()).map_or_else(not_found, |page| respond(&page, &headers))
        }
        Some(page) => respond(&page, &headers),
        None => not_found(),
    }
}

/// A file of the page.
pub(crate) async fn asset(State(state): State<AppState>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    find(&state, &name).await.map_or_else(not_found, |asset| respond(&asset, &headers))
}

fn not_found() -> Response {
    Problem::not_found("file of the editor").into_response()
}

/// The file of this name.
async fn find(state: &AppState, name: &str) -> Option<Asset> {
    let Some(folder) = &state.web_dir else { return COMPILED.get(name).cloned() };
    // Names that lead nowhere else, on any system.
    let plain =
        |part: &str| !part.starts_with('.') && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !name.split('/').all(|part| !part.is_empty() && plain(part)) {
        return None;
    }
    let (root, path) = (folder.clone(), folder.join(name));
    // A link could lead out of the folder.
    let read =
        move || path.canonicalize().ok()?.starts_with(root.canonicalize().ok()?).then(|| std::fs::read(path).ok())?;
    let body = tokio::task::spawn_blocking(read).await.ok()??;
    Asset::new(name, body.into())
}

/// The compiled files, each with its digest and compressed once.
static COMPILED: LazyLock<HashMap<&str, Asset>> = LazyLock::new(|| {
    let assets = FILES.iter().filter_map(|(name, body)| Some((*name, Asset::new(name, Bytes::from_static(body))?)));
    assets.collect()
});

/// The path of a style's thumbnail, if there is one.
pub(super) fn style_thumbnail(style: &str) -> Option<String> {
    let name = format!("styles/{style}.webp");
    FILES.iter().any(|(known, _)| *known == name).then(|| format!("/assets/{name}"))
}

/// The file, or that the browser's copy of it is current.
fn respond(asset: &Asset, request: &HeaderMap) -> Response {
    let gzip = asset.gzip.as_ref().filter(|_| accepts_gzip(request));
    let etag = format!("\"{}{}\"", asset.digest, if gzip.is_some() { "-gzip" } else { "" });
    let Ok(etag) = etag.parse::<ETag>() else { return Problem::internal().into_response() };
    let is_current = request.typed_get::<IfNoneMatch>().is_some_and(|copies| !copies.precondition_passes(&etag));
    let mut headers = HeaderMap::new();
    headers.typed_insert(etag);
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_current {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    if gzip.is_some() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    (headers, gzip.unwrap_or(&asset.body).clone()).into_response()
}
