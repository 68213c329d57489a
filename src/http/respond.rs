//! What handlers answer with: jobs, events, images.

pub(crate) mod event_stream;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod image;
pub(crate) mod image_url;
pub(crate) mod job;
pub(crate) mod parameters;
pub(crate) mod reencode;
mod signed_url;
pub(crate) mod warning;
