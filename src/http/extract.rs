//! What handlers take out of a request: its context, its body, its images.

pub(crate) mod accept;
pub(crate) mod address;
pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod credentials;
pub(crate) mod form;
mod forwarded;
pub(crate) mod image;
pub(crate) mod image_name;
pub(crate) mod job;
pub(crate) mod request_context;
pub(crate) mod strict_json;
