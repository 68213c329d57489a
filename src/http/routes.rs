//! The handlers of this server's own API.

pub(crate) mod capabilities;
pub(crate) mod editor;
mod generate;
pub(crate) mod job_events;
pub(crate) mod job_image;
pub(crate) mod jobs;
pub(crate) mod modes;
pub(crate) mod operations;
pub(crate) mod styles;
