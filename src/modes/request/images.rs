//! Images in requests: base64, a `data:` URL, an earlier result by reference, or an `https://` URL.
//!
//! Invariant: decoding does no I/O: an image that is elsewhere has been replaced by its bytes before.

use std::borrow::Cow;

use base64::Engine as _;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Fields, Place, ReadValue};
use crate::domain::{Image, Limits, MaskConvention, Violations, Warning};
use crate::imaging::{self, DecodeError, DecodeLimits, Picture};

/// A PNG, JPEG or WebP image: base64, a `data:` URL with base64, an `https://` URL (if the operator allows it), or an
/// earlier result. It is turned upright (EXIF) and read as 8 bits of red, green and blue (color profiles are not applied);
/// transparent pixels are laid on white.
#[derive(Debug, Default, ToSchema)]
#[serde(untagged)]
pub enum ImageBody {
    /// Base64, or a URL.
    #[schema(
        example = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
    )]
    Text(String),
    Reference(ImageReference),
    #[serde(skip)]
    #[schema(ignore)]
    Bytes(Vec<u8>),
    /// It is missing or could not be fetched, which is a violation already.
    #[default]
    #[serde(skip)]
    #[schema(ignore)]
    Missing,
}

/// An image that was made here.
#[derive(Debug, Clone, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageReference {
    pub job: Uuid,
    #[schema(default = 0)]
    #[serde(default)]
    pub index: u32,
}

/// What is said of a value that is no image.
const NO_IMAGE: &str = "must be an image in base64, a URL, or {\"job\": id, \"index\": 0}";

impl ReadValue for ImageBody {
    /// A text, a reference, or an object that holds a text as OpenAI's API writes it: `image_url` (a text or `{"url": ...}`),
    /// `url` or `b64_json`.
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text)),
            Value::Object(object) if object.contains_key("job") => {
                ImageReference::read(Value::Object(object), at).map(Self::Reference)
            }
            Value::Object(object) if object.contains_key("file_id") => {
                at.refuse("names a file by its id, which this server does not keep: send the image itself")
            }
            Value::Object(mut object) => {
                let inner = ["image_url", "url", "b64_json"].into_iter().find_map(|name| object.remove(name));
                match inner {
                    Some(Value::String(text)) => Some(Self::Text(text)),
                    Some(Value::Object(mut object)) => match object.remove("url") {
                        Some(Value::String(text)) => Some(Self::Text(text)),
                        _ => at.refuse(NO_IMAGE),
                    },
                    _ => at.refuse(NO_IMAGE),
                }
            }
            _ => at.refuse(NO_IMAGE),
        }
    }
}

impl ReadValue for ImageReference {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        let read = |fields: &mut Fields<'_>| {
            let job = fields.required::<String>("job").parse().ok();
            if job.is_none() {
                fields.refuse("job", "must be the id of a job");
            }
            job.map(|job| Self { job, index: fields.optional("index").unwrap_or(0) })
        };
        at.object(value, read).flatten()
    }
}

/// An image with more pixels than the limits allow. The message names its field.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TooLarge(String);

/// Decodes a request's images, and collects what is wrong with them.
#[derive(Debug)]
pub struct ImageDecoder {
    limits: DecodeLimits,
    pub violations: Violations,
    /// What is read otherwise than it was sent.
    pub warnings: Vec<Warning>,
    /// An image that is too large is an error of its own.
    too_large: Option<TooLarge>,
}

impl ImageDecoder {
    /// A decoder that adds to these violations.
    #[must_use]
    pub fn new(limits: &Limits, violations: Violations) -> Self {
        Self {
            limits: DecodeLimits { max_side: limits.max_input_side, max_pixels: limits.max_input_pixels },
            violations,
            warnings: Vec::new(),
            too_large: None,
        }
    }

    /// An image as RGB, on white where it is transparent; `None` if it is invalid, with the violation noted at `pointer`.
    pub fn image(&mut self, body: &ImageBody, pointer: &str) -> Option<Image> {
        self.image_with_alpha(body, pointer).map(|image| imaging::on_white(&image))
    }

    /// An image as RGB or, if any of it is transparent, as RGBA.
    pub fn image_with_alpha(&mut self, body: &ImageBody, pointer: &str) -> Option<Image> {
        self.picture(body, pointer).map(|picture| picture.image)
    }

    /// An image with its transparency, and whether it was turned.
    pub(super) fn picture(&mut self, body: &ImageBody, pointer: &str) -> Option<Picture> {
        let bytes = self.bytes(body, pointer)?;
        let decoded = imaging::decode_picture(&bytes, &self.limits);
        self.note_error(decoded, pointer)
    }

    /// A mask as gray, 255 where it is repainted; `None` if it is invalid, with the violation noted at `pointer`.
    pub fn mask(&mut self, body: &ImageBody, convention: MaskConvention, pointer: &str) -> Option<Image> {
        let bytes = self.bytes(body, pointer)?;
        let decoded = imaging::decode_mask(&bytes, convention, &self.limits);
        self.note_error(decoded, pointer)
    }

    /// The violations.
    pub fn finish(self) -> Result<Violations, TooLarge> {
        match self.too_large {
            Some(error) => Err(error),
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
            self.violations.add(pointer, "must be an image in base64, a URL, or an earlier result");
        }
        decoded.ok().map(Cow::Owned)
    }

    fn note_error<T>(&mut self, decoded: Result<T, DecodeError>, pointer: &str) -> Option<T> {
        match decoded {
            Ok(value) => return Some(value),
            Err(error @ (DecodeError::TooLarge { .. } | DecodeError::Absurd { .. })) => {
                self.too_large = Some(TooLarge(format!("{pointer}: {error}")));
            }
            Err(error) => self.violations.add(pointer, error.to_string()),
        }
        None
    }
}
