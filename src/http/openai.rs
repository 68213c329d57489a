//! The OpenAI Images surface: requests and answers of its SDKs, turned into this server's modes and back.
//!
//! Invariant: the official SDKs work unmodified; what they send that has no meaning here is taken and not looked at, and
//! this server's own fields may be sent along (`extra_body`).

pub(super) mod answer;
pub(super) mod error;
pub(super) mod request;
