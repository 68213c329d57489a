//! The handlers of this server's own API.

pub(crate) mod capabilities;
mod generate;
pub(crate) mod image_fusion;
pub(crate) mod image_to_image;
pub(crate) mod image_variations;
pub(crate) mod inpainting;
pub(crate) mod job_events;
pub(crate) mod job_image;
pub(crate) mod jobs;
pub(crate) mod operations;
pub(crate) mod outpainting;
pub(crate) mod styles;
pub(crate) mod text_image_fusion;
pub(crate) mod text_to_image;
