//! What a file says of its making: the seed and the parameters, in PNG text or in EXIF.
//!
//! Invariant: the parameters are written as JSON in ASCII (other characters escaped), which every reader shows alike.

use std::fmt::Write as _;
use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Field, In, Tag, Value};

use super::provenance::{Origin, SOFTWARE};

/// How an image was made.
#[derive(Debug, Clone, Copy)]
pub struct Metadata<'a> {
    pub origin: Origin,
    pub seed: u64,
    /// JSON; empty if there is none.
    pub parameters: &'a str,
}

impl Metadata<'_> {
    /// Keys and values of PNG text chunks.
    pub(super) fn text(&self) -> Vec<(&'static str, String)> {
        let mut text = vec![("Software", SOFTWARE.to_owned()), ("seed", self.seed.to_string())];
        if !self.parameters.is_empty() {
            text.push(("parameters", self.parameters.to_owned()));
        }
        text
    }

    /// A TIFF structure with the software, and the rest as the user comment.
    pub(super) fn exif(&self) -> Result<Vec<u8>, exif::Error> {
        let parameters = if self.parameters.is_empty() { "{}" } else { self.parameters };
        tiff(&ascii(&format!(r#"{{"seed":{},"parameters":{parameters}}}"#, self.seed)))
    }

    /// The same without the parameters, for files that have no room for them.
    pub(super) fn exif_of_seed(&self) -> Result<Vec<u8>, exif::Error> {
        tiff(&format!(r#"{{"seed":{}}}"#, self.seed))
    }
}

/// A TIFF structure with the software and a comment.
fn tiff(comment: &str) -> Result<Vec<u8>, exif::Error> {
    let software =
        Field { tag: Tag::Software, ifd_num: In::PRIMARY, value: Value::Ascii(vec![SOFTWARE.as_bytes().to_vec()]) };
    let mut bytes = b"ASCII\0\0\0".to_vec();
    bytes.extend_from_slice(comment.as_bytes());
    let comment = Field { tag: Tag::UserComment, ifd_num: In::PRIMARY, value: Value::Undefined(bytes, 0) };
    let mut writer = Writer::new();
    writer.push_field(&software);
    writer.push_field(&comment);
    let mut out = Cursor::new(Vec::new());
    writer.write(&mut out, false)?;
    Ok(out.into_inner())
}

/// JSON with all but ASCII escaped.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}
