//! Why bytes are no image that is read here, in words for the person who sent them.
//!
//! Invariant: a message says what is wrong with the file or what to send instead, and nothing of the decoder.

/// Why bytes are no image.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("not an image that is read here: PNG, JPEG, WebP, GIF, BMP or TIFF")]
    UnknownFormat,
    /// A format that was recognized, and what to do about it.
    #[error("{0}")]
    OtherFormat(&'static str),
    #[error(
        "the image of {width}x{height} px is larger than {max_side} px a side or {max_pixels} px in all (limits.max_input_side, limits.max_input_pixels)"
    )]
    TooLarge { width: u32, height: u32, max_side: u32, max_pixels: u64 },
    /// It is so large that its decoder did not even say how large.
    #[error("the image is larger than {max_side} px a side or {max_pixels} px in all")]
    Absurd { max_side: u32, max_pixels: u64 },
    #[error("the image is damaged: {0}")]
    Damaged(String),
    /// A valid file of a rare kind.
    #[error("{0} is not supported; save the image anew as PNG, JPEG or WebP")]
    Unsupported(String),
    #[error(
        "has no transparent part: transparent parts of the mask are repainted (for a black-and-white mask, mask_convention white \
         or black says which)"
    )]
    NoAlpha,
}

impl DecodeError {
    /// The file ends before its image does.
    pub(super) fn cut_off() -> Self {
        Self::Damaged("it ends too early; was it sent as a whole?".to_owned())
    }

    /// A decoder gave up on what is in the file, for reasons that are its own words.
    pub(super) fn garbled() -> Self {
        Self::Damaged("its data contradict each other; was it changed on its way?".to_owned())
    }
}
