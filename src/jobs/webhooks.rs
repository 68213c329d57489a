//! Webhooks: what they announce, and how they are delivered.

mod deliver;
mod payload;
pub(crate) mod transport;

pub(crate) use deliver::deliver;
pub(crate) use payload::{WebhookMessage, deliveries};
pub use transport::{WebhookConfig, WebhookTransport};
