//! What a body has to give to become a job.

use crate::domain::Input;
use crate::http::common::CommonBody;
use crate::http::extract::body::FormBody;
use crate::http::extract::image::{ImageBody, Images};

/// A mode's request.
pub(crate) trait ModeBody: FormBody + Send + 'static {
    /// All images in it, each with its JSON pointer.
    fn images(&mut self) -> Vec<(String, &mut ImageBody)>;

    /// Its shared fields and its own, with the images decoded; None if one is invalid, which is then a violation.
    fn into_input(self, images: &mut Images) -> (CommonBody, Option<Input>);
}
