//! Request bodies of modes, as JSON or as forms, before their images are decoded.
//!
//! Invariant: nothing here does I/O or knows HTTP; the same bodies are read by the routes, the compatible APIs and the command
//! line.

mod body;
mod common;
mod encoded;
mod fields;
mod form;
mod images;
pub mod masks;
pub mod names;
mod reading;
mod schema;
mod values;

use serde_json::Value;
use utoipa::ToSchema;

pub use body::read_body;
pub use common::{AccelerationBody, CommonBody, PriorBody, WebhookBody};
pub use encoded::{is_base64, is_encoded_image};
pub use fields::{Fields, ReadFields};
pub use form::{Form, pointer};
pub use images::{ImageBody, ImageDecoder, ImageReference, Refused, TooLarge};
pub use reading::{Reading, SentNames};
pub use schema::FormSchema;
pub use values::{Place, ReadValue, Seed};

use super::{Input, Mode};
use crate::domain::{Violation, Violations};

/// What becomes of fields that a body does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Each is a violation.
    Refused,
    /// Each is a warning, as for clients that send their own fields to every server.
    Reported,
}

/// A body that may be a form.
pub trait FormBody: ReadFields + ToSchema {
    /// What becomes of fields that it does not have.
    const UNKNOWN: Unknown = Unknown::Refused;
    /// Names that only forms have and whose values are written as JSON.
    const FORM_JSON: &'static [&'static str] = &[];

    /// Bring the parts of a form into the shape of the JSON.
    fn from_form(form: Form) -> Result<Value, Violation> {
        form.into_json()
    }
}

/// A body that asks for images.
pub trait ModeBody: FormBody + Send + 'static {
    /// The mode, if it is known before the images are decoded.
    fn mode(&self) -> Option<Mode>;

    /// The modes that it may turn out to be, as far as is known before the images are decoded.
    fn possible_modes(&self) -> Vec<Mode> {
        self.mode().into_iter().collect()
    }

    /// Take out the fields that all requests share.
    fn take_common(&mut self, violations: &mut Violations) -> CommonBody;

    /// All prompts, each with its JSON pointer.
    fn prompts(&self) -> Vec<(String, &str)>;

    /// Check what else can be checked before the images are decoded.
    fn check(&self, _violations: &mut Violations) {}

    /// All images and masks in it, each with its JSON pointer.
    fn images(&mut self) -> Vec<(String, &mut ImageBody)>;

    /// Its own fields, with the images decoded; `None` if one is invalid, which is then a violation.
    fn into_input(self, decoder: &mut ImageDecoder) -> Option<Input>;
}
