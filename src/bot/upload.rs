//! Files that go along with a call.

/// A file of a call, by the name that `attach://NAME` refers to.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub field: String,
    pub file_name: String,
    pub media_type: &'static str,
    pub bytes: Vec<u8>,
}

impl Upload {
    /// An image that the server made.
    pub fn image(field: impl Into<String>, bytes: Vec<u8>) -> Self {
        let (extension, media_type) = match bytes.get(..4) {
            Some([0xff, 0xd8, ..]) => ("jpg", "image/jpeg"),
            Some([b'R', b'I', b'F', b'F']) => ("webp", "image/webp"),
            _ => ("png", "image/png"),
        };
        Self { field: field.into(), file_name: format!("kandinsky.{extension}"), media_type, bytes }
    }
}
