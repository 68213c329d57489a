//! Pictures inside of JSON: base64, or a `data:` URL.

use base64::Engine as _;
use serde::Deserialize;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::domain::{Limits, Mask, MaskConvention, Picture, Violations};
use crate::imaging::{self, DecodeError, DecodeLimits};

/// A PNG, JPEG or WebP picture: base64, or a `data:` URL with base64.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(value_type = String, example = "data:image/png;base64,iVBORw0KGgo...")]
pub(super) struct ImageBody(String);

/// Decodes a request's pictures, and collects what is wrong with them.
pub(super) struct Images {
    limits: DecodeLimits,
    pub(super) violations: Violations,
    /// A picture that is too large is a problem of its own.
    too_large: Option<Problem>,
}

impl Images {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: DecodeLimits { max_side: limits.max_input_side, max_pixels: limits.max_input_pixels },
            violations: Violations::default(),
            too_large: None,
        }
    }

    /// A picture, or None with the violation noted at `pointer`.
    pub(super) fn picture(&mut self, body: &ImageBody, pointer: &str) -> Option<Picture> {
        let bytes = self.bytes(body, pointer)?;
        let decoded = imaging::decode(&bytes, &self.limits);
        self.noted(decoded, pointer)
    }

    /// A mask, or None with the violation noted at `pointer`.
    pub(super) fn mask(&mut self, body: &ImageBody, convention: MaskConvention, pointer: &str) -> Option<Mask> {
        let bytes = self.bytes(body, pointer)?;
        let decoded = imaging::decode_mask(&bytes, convention, &self.limits);
        self.noted(decoded, pointer)
    }

    /// What is left to say: a problem of its own, or nothing.
    pub(super) fn into_problem(self) -> Result<Violations, Problem> {
        match self.too_large {
            Some(problem) => Err(problem),
            None => Ok(self.violations),
        }
    }

    fn bytes(&mut self, body: &ImageBody, pointer: &str) -> Option<Vec<u8>> {
        let encoded = match body.0.strip_prefix("data:") {
            None => body.0.as_str(),
            Some(url) => {
                let Some((_, encoded)) = url.split_once(";base64,") else {
                    self.violations.add(pointer, "must be a data: URL with base64");
                    return None;
                };
                encoded
            }
        };
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim());
        if decoded.is_err() {
            self.violations.add(pointer, "must be a picture in base64, or a data: URL");
        }
        decoded.ok()
    }

    fn noted<T>(&mut self, decoded: Result<T, DecodeError>, pointer: &str) -> Option<T> {
        match decoded {
            Ok(value) => return Some(value),
            Err(error @ DecodeError::TooLarge { .. }) => {
                self.too_large = Some(Problem::too_large(format!("{pointer}: {error}")));
            }
            Err(error) => self.violations.add(pointer, error.to_string()),
        }
        None
    }
}
