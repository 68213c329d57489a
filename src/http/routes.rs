//! One file per generation mode, and operations.

pub(super) mod capabilities;
pub(super) mod huggingface;
pub(super) mod image_fusion;
pub(super) mod image_to_image;
pub(super) mod image_variations;
pub(super) mod inpainting;
pub(super) mod jobs;
pub(super) mod models;
pub(super) mod moderations;
pub(super) mod openai;
pub(super) mod operations;
pub(super) mod outpainting;
pub(super) mod styles;
pub(super) mod text_image_fusion;
pub(super) mod text_to_image;
