//! One file per generation mode, and operations.

pub(super) mod image_fusion;
pub(super) mod image_to_image;
pub(super) mod image_variations;
pub(super) mod inpainting;
pub(super) mod operations;
pub(super) mod outpainting;
pub(super) mod text_image_fusion;
pub(super) mod text_to_image;
