//! Pictures in requests: base64, a `data:` URL, an earlier result by reference, or an `https://` URL where that is allowed.
//!
//! Invariant: bytes are brought here first, in the order of the request, and decoded off the async threads after.

use std::borrow::Cow;

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::caller::Caller;
use super::job::is_expired;
use super::object;
use crate::domain::{Image, Limits, MaskConvention, Violations};
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::imaging::{self, DecodeError, DecodeLimits};

/// A PNG, JPEG or WebP picture: base64, a `data:` URL with base64, an `https://` URL (where the operator allows it), or an
/// earlier result. It is taken upright (EXIF), as 8 bits of red, green and blue (colour profiles are not applied); what is
/// transparent is laid on white.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be a picture in base64, a URL, or {\"job\": id, \"index\": 0}")]
pub(crate) enum ImageBody {
    /// Base64, or a URL.
    #[schema(
        example = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
    )]
    Text(String),
    Reference(#[serde(deserialize_with = "object::required")] ImageReference),
    #[serde(skip)]
    #[schema(ignore)]
    Bytes(Vec<u8>),
    /// It could not be had, and that is noted.
    #[serde(skip)]
    #[schema(ignore)]
    Missing,
}

/// A picture that was made here.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageReference {
    job: Uuid,
    #[serde(default)]
    index: u32,
}

/// Bring the bytes of pictures that are elsewhere.
pub(crate) async fn fetch_images(
    state: &AppState,
    caller: &Caller,
    images: Vec<(String, &mut ImageBody)>,
    violations: &mut Violations,
) -> Result<(), Problem> {
    for (pointer, image) in images {
        let found = match image {
            ImageBody::Reference(reference) => Some(earlier(state, caller, reference).await?),
            ImageBody::Text(text) if text.starts_with("https://") || text.starts_with("http://") => {
                Some(download(state, text).await)
            }
            _ => None,
        };
        match found {
            None => {}
            Some(Ok(bytes)) => *image = ImageBody::Bytes(bytes),
            Some(Err(message)) => {
                violations.add(pointer, message);
                *image = ImageBody::Missing;
            }
        }
    }
    Ok(())
}

async fn earlier(
    state: &AppState,
    caller: &Caller,
    reference: &ImageReference,
) -> Result<Result<Vec<u8>, String>, Problem> {
    let unknown = || Ok(Err("refers to a picture that does not exist (any more)".to_owned()));
    match state.jobs.get(reference.job).await? {
        Some(job) if caller.may_see(&job) && !is_expired(&job) => match state.jobs.file(&job, reference.index).await? {
            Some(bytes) => Ok(Ok(bytes)),
            None => unknown(),
        },
        _ => unknown(),
    }
}

async fn download(state: &AppState, url: &str) -> Result<Vec<u8>, String> {
    let Some(fetcher) = &state.fetcher else {
        return Err("is a URL; this server does not fetch pictures".to_owned());
    };
    fetcher.get(url).await.map(|fetched| fetched.bytes).map_err(|error| error.to_string())
}

/// Decodes a request's pictures, and collects what is wrong with them.
pub(crate) struct Images {
    limits: DecodeLimits,
    pub(crate) violations: Violations,
    /// A picture that is too large is a problem of its own.
    too_large: Option<Problem>,
}

impl Images {
    pub(crate) fn new(limits: &Limits, violations: Violations) -> Self {
        Self {
            limits: DecodeLimits { max_side: limits.max_input_side, max_pixels: limits.max_input_pixels },
            violations,
            too_large: None,
        }
    }

    /// A picture, or None with the violation noted at `pointer`.
    pub(crate) fn picture(&mut self, body: &ImageBody, pointer: &str) -> Option<Image> {
        let bytes = self.bytes(body, pointer)?;
        let decoded = imaging::decode(&bytes, &self.limits);
        self.noted(decoded, pointer)
    }

    /// A mask, or None with the violation noted at `pointer`.
    pub(crate) fn mask(&mut self, body: &ImageBody, convention: MaskConvention, pointer: &str) -> Option<Image> {
        let bytes = self.bytes(body, pointer)?;
        let decoded = imaging::decode_mask(&bytes, convention, &self.limits);
        self.noted(decoded, pointer)
    }

    /// The picture's own transparency as a mask, if it has any; nothing is noted if it has none.
    pub(crate) fn own_mask(&mut self, body: &ImageBody) -> Option<Image> {
        let bytes = self.bytes(body, "")?;
        let mask = imaging::decode_mask(&bytes, MaskConvention::Alpha, &self.limits).ok()?;
        mask.pixels().iter().any(|repaint| *repaint >= 128).then_some(mask)
    }

    /// What is left to say: a problem of its own, or nothing.
    pub(crate) fn into_problem(self) -> Result<Violations, Problem> {
        match self.too_large {
            Some(problem) => Err(problem),
            None => Ok(self.violations),
        }
    }

    fn bytes<'a>(&mut self, body: &'a ImageBody, pointer: &str) -> Option<Cow<'a, [u8]>> {
        let text = match body {
            ImageBody::Bytes(bytes) => return Some(Cow::Borrowed(bytes)),
            ImageBody::Text(text) => text,
            ImageBody::Reference(_) | ImageBody::Missing => return None,
        };
        let is_url = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
        let encoded = if is_url {
            let Some((_, encoded)) = text.split_once(";base64,") else {
                self.violations.add(pointer, "must be a data: URL with base64");
                return None;
            };
            encoded
        } else {
            text.as_str()
        };
        // Tools that write base64 break its lines.
        let mut plain = Cow::Borrowed(encoded.trim());
        if plain.contains(|c: char| c.is_ascii_whitespace()) {
            plain = Cow::Owned(plain.split_ascii_whitespace().collect());
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(plain.as_bytes());
        if decoded.is_err() {
            self.violations.add(pointer, "must be a picture in base64, a URL, or an earlier result");
        }
        decoded.ok().map(Cow::Owned)
    }

    fn noted<T>(&mut self, decoded: Result<T, DecodeError>, pointer: &str) -> Option<T> {
        match decoded {
            Ok(value) => return Some(value),
            Err(error @ (DecodeError::TooLarge { .. } | DecodeError::Absurd { .. })) => {
                self.too_large = Some(Problem::too_large(format!("{pointer}: {error}")));
            }
            Err(error) => self.violations.add(pointer, error.to_string()),
        }
        None
    }
}
