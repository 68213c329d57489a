//! One file per generation mode, and operations.

pub(super) mod operations;
pub(super) mod text_to_image;
