//! What the first bytes of a file say.
//!
//! Invariant: nothing is decoded here; a signature tells an image from a text, and no more.

/// Beginnings of image files, each with its offset.
const SIGNATURES: [(usize, &[u8]); 8] = [
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"\xff\xd8\xff"),
    (0, b"GIF8"),
    (8, b"WEBP"),
    (0, b"II*\0"),
    (0, b"MM\0*"),
    (4, b"ftypavif"),
    (4, b"ftyphei"),
];

/// Whether bytes begin as an image file does, of a format that is read here or not.
#[must_use]
pub fn has_image_signature(bytes: &[u8]) -> bool {
    let has =
        |(offset, signature): &(usize, &[u8])| bytes.get(*offset..).is_some_and(|rest| rest.starts_with(signature));
    // A bitmap's two letters could begin a text: its header's size follows.
    let is_bitmap =
        bytes.starts_with(b"BM") && bytes.get(14..18).is_some_and(|size| [12, 40, 108, 124].contains(&size[0]));
    is_bitmap || SIGNATURES.iter().any(has)
}
