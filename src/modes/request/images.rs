//! Images in requests: base64, a `data:` URL, an earlier result by reference, or an `https://` URL.
//!
//! Invariant: decoding does no I/O: an image that is elsewhere has been replaced by its bytes before.

use std::borrow::Cow;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Fields, Place, ReadValue};
use crate::domain::{Image, Limits, MaskConvention, Violations, Warning};
use crate::imaging::{self, DecodeError, DecodeLimits, DecodedSize, UprightImage};

/// A PNG, JPEG, WebP, GIF, BMP or TIFF image (of several frames or pages the first): base64 (padded or not, of either alphabet),
/// a `data:` URL with base64, an `https://` URL (if the operator allows it), or an earlier result. It is turned upright (EXIF)
/// and converted to 8 bits of red, green and blue in sRGB by its color profile (ICC, or what a PNG says instead); transparent
/// pixels are laid on white, except for what inpainting and outpainting keep. Masks are read without regard to profiles.
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

/// Where all requests have their masks.
const MASK: &str = "/mask";

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

/// Why images are not decoded.
#[derive(Debug)]
pub enum Refused {
    TooLarge(TooLarge),
    Invalid(Violations),
}

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

    /// An image as RGB, on white where it is transparent, and not larger than is of use to see what it shows; `None` if it is invalid, with the violation noted at `pointer`.
    pub fn image(&mut self, body: &ImageBody, pointer: &str) -> Option<Image> {
        self.image_with_alpha(body, pointer).map(|image| imaging::shrink(imaging::on_white(&image)))
    }

    /// An image as RGB or, if any of it is transparent, as RGBA.
    pub fn image_with_alpha(&mut self, body: &ImageBody, pointer: &str) -> Option<Image> {
        self.upright_image(body, pointer).map(|upright| upright.image)
    }

    /// An image with its transparency, and whether it was turned.
    pub(super) fn upright_image(&mut self, body: &ImageBody, pointer: &str) -> Option<UprightImage> {
        let bytes = self.bytes(body, pointer)?;
        let decoded = imaging::decode_upright(&bytes, &self.limits);
        self.note_error(decoded, pointer)
    }

    /// A mask as gray, 255 where it is repainted; `None` if it is invalid, with the violation noted at `pointer`.
    pub fn mask(&mut self, body: &ImageBody, convention: MaskConvention, pointer: &str) -> Option<Image> {
        let bytes = self.bytes(body, pointer)?;
        let decoded = imaging::decode_mask(&bytes, convention, &self.limits);
        self.note_error(decoded, pointer)
    }

    /// What decoding these images will take, by their headers. Each is replaced by its bytes; one that is invalid is a violation
    /// and goes missing.
    pub fn measure(&mut self, images: Vec<(String, &mut ImageBody)>) -> DecodedSize {
        let (mut kept, mut beside) = (0, 0);
        for (pointer, body) in images {
            let taken = std::mem::take(body);
            let Some(bytes) = self.bytes(&taken, &pointer).map(Cow::into_owned) else { continue };
            let measure = if pointer == MASK { imaging::measure_mask } else { imaging::measure };
            let measured = measure(&bytes, &self.limits);
            if let Some(size) = self.note_error(measured, &pointer) {
                kept += size.kept;
                beside = size.most.saturating_sub(size.kept).max(beside);
                *body = ImageBody::Bytes(bytes);
            }
        }
        DecodedSize { most: kept + beside, kept }
    }

    /// This decoder, if nothing is wrong by now.
    pub fn without_violations(self) -> Result<Self, Refused> {
        if let Some(error) = self.too_large {
            return Err(Refused::TooLarge(error));
        }
        if self.violations.0.is_empty() { Ok(self) } else { Err(Refused::Invalid(self.violations)) }
    }

    /// The violations.
    pub fn finish(self) -> Result<Violations, TooLarge> {
        match self.too_large {
            Some(error) => Err(error),
            None => Ok(self.violations),
        }
    }

    /// The bytes of a file; `None` if there are none, with the violation noted.
    fn bytes<'a>(&mut self, body: &'a ImageBody, pointer: &str) -> Option<Cow<'a, [u8]>> {
        match body {
            ImageBody::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            ImageBody::Text(text) => match decode_base64(text) {
                Ok(bytes) => Some(Cow::Owned(bytes)),
                Err(message) => {
                    self.violations.add(pointer, message);
                    None
                }
            },
            ImageBody::Reference(_) | ImageBody::Missing => None,
        }
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

/// What is said of a text that holds no image.
const NO_BASE64: &str = "must be an image in base64, a URL, or an earlier result";

/// The bytes of base64, or of a `data:` URL with base64, as tools write them: with or without padding, in either alphabet, in
/// lines, escaped, or in quotes.
fn decode_base64(text: &str) -> Result<Vec<u8>, &'static str> {
    let text = text.trim().trim_matches(['"', '\'']);
    let encoded = match text.get(..5) {
        Some(scheme) if scheme.eq_ignore_ascii_case("data:") => {
            const NO_DATA: &str = "must be a data: URL with base64";
            let (head, encoded) = text.split_once(',').ok_or(NO_DATA)?;
            let is_base64 = head.rsplit(';').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("base64"));
            is_base64.then_some(encoded).ok_or(NO_DATA)?
        }
        _ => text,
    };
    let plain = |c: u8| !(c.is_ascii_whitespace() || matches!(c, b'-' | b'_' | b'%'));
    let encoded = encoded.as_bytes();
    let decoded =
        if encoded.iter().all(|c| plain(*c)) { LENIENT.decode(encoded) } else { LENIENT.decode(normalized(encoded)) };
    decoded.map_err(|_| NO_BASE64)
}

/// Any padding, and any bits after the last whole byte.
pub(super) const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Base64 in one line of the usual alphabet. Of escapes only those are read that base64 has.
fn normalized(encoded: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'-' => plain.push(b'+'),
            b'_' => plain.push(b'/'),
            b'%' => {
                let escaped = match after.first_chunk::<2>().map(|code| code.map(|c| c.to_ascii_uppercase())).as_ref() {
                    Some(b"2B") => Some(b'+'),
                    Some(b"2F") => Some(b'/'),
                    Some(b"3D") => Some(b'='),
                    Some(b"0A" | b"0D" | b"20") => None,
                    // It is no base64, which the decoder says.
                    _ => {
                        plain.push(first);
                        continue;
                    }
                };
                plain.extend(escaped);
                rest = &after[2..];
            }
            c if c.is_ascii_whitespace() => {}
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_tools_write_it() {
        let bytes = [0xfb, 0xef, 0xff, 0x01];
        for text in [
            "++//AQ==",
            "++//AQ",
            "--__AQ==",
            "--__AQ",
            " ++//\r\nAQ== \n",
            "data:image/png;base64,++//AQ==",
            "DATA:image/png;charset=utf-8;BASE64,--__AQ",
            "data:;base64,%2B%2b%2F%2FAQ%3D%3D",
            "\"++//AQ==\"",
        ] {
            assert_eq!(decode_base64(text).as_deref(), Ok(bytes.as_slice()), "{text}");
        }
        for text in ["%%%", "data:image/png,abc", "data:image/png", "a b c ?", "\u{fe0f}"] {
            assert!(decode_base64(text).is_err(), "{text}");
        }
    }
}
