//! Webhooks: what they announce, and how they are delivered.

mod deliver;
mod payload;

pub(crate) use deliver::deliver;
pub use deliver::{WebhookConfig, WebhookTransport};
pub(crate) use payload::deliveries;
