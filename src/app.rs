//! The composition root: puts the modules together as the configuration says, and alone names their implementations.

mod check;
mod descriptors;
pub mod features;
pub mod fleet;
mod jobs;
pub mod keys;
mod marking;
mod memory;
mod model;
mod moderation;
pub mod private;
mod roles;
mod secret;
mod server;
mod stores;
mod translation;
mod webhooks;

pub use check::{Outlook, check};
pub use marking::encoder;
pub use model::{EMBEDDED, checkpoint, compute, load_model, start_engine};
pub use moderation::{Clip, Labelled, learn_concepts};
pub use server::{RunningServer, serve, start_server};
pub use stores::migrate;
pub use translation::start_translation;
